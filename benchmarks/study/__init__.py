"""Samplers side by side: ours, the published ones and those of diffusers (``make study``)."""
