"""The toolbox's own components, which configs name without a prefix."""

from wsoltool.plugin import hookimpl


@hookimpl
def wsoltool_backbones():
    from wsoltool.models.backbones.densenet import DenseNet161
    from wsoltool.models.backbones.inception import GoogLeNet, InceptionV3
    from wsoltool.models.backbones.mobilenet import MobileNetV1, MobileNetV2
    from wsoltool.models.backbones.parallel import Parallel
    from wsoltool.models.backbones.published import Torchvision
    from wsoltool.models.backbones.resnet import ResNet18, ResNet50, ResNet50X, SEResNet50
    from wsoltool.models.backbones.small import SmallNet
    from wsoltool.models.backbones.vgg import VGG16

    return [
        *(VGG16, GoogLeNet, InceptionV3, DenseNet161, MobileNetV1, MobileNetV2),
        *(ResNet18, ResNet50, ResNet50X, SEResNet50, Torchvision, SmallNet, Parallel),
    ]


@hookimpl
def wsoltool_recalibrations():
    from wsoltool.models.recalibrations.bam import BAM
    from wsoltool.models.recalibrations.batch_norm import BatchNorm
    from wsoltool.models.recalibrations.cbam import CBAM
    from wsoltool.models.recalibrations.gather_excite import GatherExcite
    from wsoltool.models.recalibrations.non_local import NonLocal
    from wsoltool.models.recalibrations.squeeze_excitation import SqueezeExcitation

    return [BatchNorm, SqueezeExcitation, CBAM, BAM, GatherExcite, NonLocal]


@hookimpl
def wsoltool_erasers():
    from wsoltool.models.erasing import DropBlock, Dropout

    return [Dropout, DropBlock]


@hookimpl
def wsoltool_fusions():
    from wsoltool.models.fusion import Flip, MultiScale, SingleView

    return [SingleView, Flip, MultiScale]


@hookimpl
def wsoltool_box_extractors():
    from wsoltool.models.boxes import OtsuBoxes, ThresholdBoxes

    return [ThresholdBoxes, OtsuBoxes]


@hookimpl
def wsoltool_losses():
    from wsoltool.models.losses import BinaryCrossEntropy, CrossEntropy

    return [CrossEntropy, BinaryCrossEntropy]


@hookimpl
def wsoltool_poolings():
    from wsoltool.models.pooling import GlobalAveragePool, GlobalMaxPool

    return [GlobalAveragePool, GlobalMaxPool]


@hookimpl
def wsoltool_datasets():
    from wsoltool.datasets.creatures import Creatures
    from wsoltool.datasets.image_data import Images

    return [Creatures, Images]


@hookimpl
def wsoltool_readers():
    from wsoltool.datasets.readers.coco import CocoJson
    from wsoltool.datasets.readers.csv_table import CsvTable
    from wsoltool.datasets.readers.cub import CUB200
    from wsoltool.datasets.readers.folders import ImageFolders
    from wsoltool.datasets.readers.ilsvrc import ILSVRC
    from wsoltool.datasets.readers.metadata import WsolMetadata
    from wsoltool.datasets.readers.openimages import OpenImages30k
    from wsoltool.datasets.readers.tinyimagenet import TinyImageNet
    from wsoltool.datasets.readers.voc import PascalVOC

    return [
        *(CUB200, CocoJson, CsvTable, ILSVRC, ImageFolders, OpenImages30k, PascalVOC),
        *(TinyImageNet, WsolMetadata),
    ]


@hookimpl
def wsoltool_transforms():
    from wsoltool.transforms.crop import CenterCrop, RandomCrop, RandomResizedCrop
    from wsoltool.transforms.flip import RandomFlip
    from wsoltool.transforms.resize import Resize, ResizeShortSide

    return [Resize, ResizeShortSide, RandomCrop, CenterCrop, RandomResizedCrop, RandomFlip]


@hookimpl
def wsoltool_metrics():
    from wsoltool.evaluation.classification import ClassificationMetric
    from wsoltool.evaluation.detection import DetectionMetric
    from wsoltool.evaluation.metric import LocalizationMetric
    from wsoltool.evaluation.segmentation import SegmentationMetric

    return [LocalizationMetric, ClassificationMetric, DetectionMetric, SegmentationMetric]


@hookimpl
def wsoltool_runner_hooks():
    from wsoltool.engine.hooks import EpochSeedHook, PlainCheckpointHook, ProgressHook

    return [EpochSeedHook, PlainCheckpointHook, ProgressHook]


@hookimpl
def wsoltool_stages():
    from wsoltool.engine.train_stage import Train

    return [Train]


@hookimpl
def wsoltool_check_config(config):
    from wsoltool.preflight_figures import monitor_problems, save_best_problems

    return [*save_best_problems(config), *monitor_problems(config)]
