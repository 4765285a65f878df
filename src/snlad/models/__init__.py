"""Networks: teacher, students, CRAM, and the detector that joins them."""
