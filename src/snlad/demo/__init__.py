"""Demo: an embedded multi-class data set of real textures with made defects."""
