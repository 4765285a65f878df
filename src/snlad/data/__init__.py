"""Data: folders and manifests in, checked samples and pixels out."""
