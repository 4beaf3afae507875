"""Metrics are functions of arrays; `catalogue` says what each means.

Pictures are uint8, and only pixels inside the sector count. What is not
defined raises ValueError with the reason: no metric is ever 0 or NaN instead.
"""
