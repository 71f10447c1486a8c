"""Rows with one thing taken from the ground truth: what keeps AP down, detector or head?"""
