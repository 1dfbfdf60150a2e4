"""ADH on 50 classes of Tiny-ImageNet: plain CAM's config with dual hiding."""

_base_ = ["../cam/cam_mobilenetv1_tinyimagenet50.py"]

# Maps of 16 x 16, 8 x 8 and 8 x 8 positions, where the thesis has 28 x 28 and 14 x 14 twice: its
# dispersion of 40 shrinks as the square of the side. A smaller area would have no surroundings.
_hiding = dict(type="adh.DualHiding", block_size=3, selection=dict(dispersion=13.0))
model = dict(
    inserts=dict(
        early=dict(at="stage2", module=_hiding),
        middle=dict(at="stage3", module=_hiding),
        late=dict(at="stage4", module=_hiding),
    )
)
