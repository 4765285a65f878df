"""Report: pictures and tables for people."""
