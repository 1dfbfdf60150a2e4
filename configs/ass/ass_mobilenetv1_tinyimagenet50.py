"""ASS on 50 classes of Tiny-ImageNet: plain CAM's config with the selection strategy."""

_base_ = ["../cam/cam_mobilenetv1_tinyimagenet50.py"]

# Maps of 16 x 16, 8 x 8 and 8 x 8 positions, where the thesis has 28 x 28 and 14 x 14 twice: its
# dispersion of 40 shrinks as the square of the side.
_strategy = dict(type="ass.SelectionStrategy", dispersion=13.0)
model = dict(
    inserts=dict(
        early=dict(at="stage2", module=_strategy),
        middle=dict(at="stage3", module=_strategy),
        late=dict(at="stage4", module=_strategy),
    )
)
