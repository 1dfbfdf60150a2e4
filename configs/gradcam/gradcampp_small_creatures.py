"""Grad-CAM++ maps of the network that cam/cam_small_creatures.py trains; its checkpoint fits."""

_base_ = ["../cam/cam_small_creatures.py"]

model = dict(map_source=dict(type="gradcam.GradCAMPlusPlus", target="last"))
