"""What decides a head (`head.py`) and its training (`train.py`)."""
