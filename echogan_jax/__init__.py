"""Translate technically limited echocardiograms to diagnostic quality."""

__version__ = '0.1.0'
