"""ADH on the creatures with coats: plain CAM's config with dual hiding at three places.

On the demo's creatures nothing but the head tells the class, so that a hidden head leaves nothing
to learn; here the coat tells it too.
"""

_base_ = ["../cam/cam_small_creatures_coats.py"]

# The thesis's dispersion of 40 is for 28 x 28 positions at the first place, and hardly ever reached
# on the 14 x 14 of the others. It grows as the square of the side, here 24 everywhere; areas of 5
# at the first place and of 3 at the others grow as the side: to 4.3 and 5.1.
_hiding = dict(type="adh.DualHiding", block_size=5)
_early = dict(**_hiding, selection=dict(dispersion=29.0))
_late = dict(**_hiding, selection=dict(dispersion=118.0))
model = dict(
    inserts=dict(
        early=dict(at="stage2", module=_early),
        middle=dict(at="stage3", module=_late),
        late=dict(at="stage4", module=_late),
    )
)
