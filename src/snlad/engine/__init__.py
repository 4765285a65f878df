"""Engine: training, evaluation and the run folder."""
