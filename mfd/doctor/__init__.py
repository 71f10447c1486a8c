"""`mfd doctor`: what is wrong with environment, data, detector and stores."""

from mfd.doctor.examine import examine

__all__ = ["examine"]
