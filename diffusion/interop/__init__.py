"""Doors to other libraries; each is imported on demand and names what it needs."""
