"""Export of trained models: the graph that holds all of inference, and its proof."""
