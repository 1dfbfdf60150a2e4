"""mLDFR on PASCAL VOC 2007: CorLoc on trainval (Table XIV), the training images themselves.

Training is that of ``mldfr_vgg16_voc2007.py``, whose checkpoints this scores.
"""

_base_ = ["mldfr_vgg16_voc2007.py"]

test_dataloader = dict(dataset=dict(reader=dict(parts=dict(test="Main/trainval"))))
