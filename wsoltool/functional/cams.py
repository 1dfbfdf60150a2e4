"""Class activation maps: which channels a class reads, and their weighted sum.

Every method of the family is :math:`M_c(x, y) = \\sum_k w_k^c A_k(x, y)` with weights of its own:
the classifier's row (CAM), pooled gradients (Grad-CAM, Grad-CAM++) or scores of masked images
(Score-CAM). B images, C channels, K classes, n asked classes, h x w a feature grid, H x W an image.
"""

from __future__ import annotations

import torch
from torch import Tensor

from wsoltool.errors import ShapeError
from wsoltool.functional.maps import minmax_normalize, resize_maps


def weighted_channel_sum(features: Tensor, weights: Tensor) -> Tensor:
    r"""Sum the channels, weighted for each image and asked class.

    .. math:: M_c(x, y) = \sum_k w_k^c A_k(x, y)

    Args:
        features: ``(B, C, h, w)`` float.
        weights: ``(B, n, C)`` float.

    Returns:
        ``(B, n, h, w)`` float of the wider dtype of the two, unbounded.

    Raises:
        ShapeError: The two disagree on B or C.

    Example:
        >>> weighted_channel_sum(torch.ones(1, 2, 1, 1), torch.tensor([[[1.0, 3.0]]]))
        tensor([[[[4.]]]])
    """
    if features.ndim != 4 or weights.ndim != 3 or features.shape[:2] != weights.shape[::2]:
        raise ShapeError(
            f"features {tuple(features.shape)} and channel weights {tuple(weights.shape)} disagree",
            expected="(B, C, h, w) and (B, n, C)",
        )
    dtype = torch.promote_types(features.dtype, weights.dtype)
    return torch.einsum("bchw,bnc->bnhw", features.to(dtype), weights.to(dtype))


def class_activation_map(features: Tensor, weights: Tensor, class_ids: Tensor) -> Tensor:
    r"""Sum the feature maps, weighted by each asked class's classifier row.

    Eq. (2) of Zhou et al., CVPR 2016 (arXiv:1512.04150), where :math:`f_k` is the k-th channel:

    .. math:: M_c(x, y) = \sum_k w_k^c f_k(x, y)

    The mean of :math:`M_c` over the grid is the class score without its bias.

    Args:
        features: ``(B, C, h, w)`` float, what the classifier pools.
        weights: ``(K, C)`` float, classifier weight, no bias.
        class_ids: ``(B, n)`` int64 in ``[0, K)``.

    Returns:
        ``(B, n, h, w)`` float, unbounded; normalise before thresholding.

    Raises:
        ShapeError: The arguments disagree on B or C, or a class is not in ``[0, K)``.

    Example:
        >>> rows = torch.tensor([[1.0, 3.0], [0.0, -1.0]])
        >>> class_activation_map(torch.ones(1, 2, 1, 1), rows, torch.tensor([[1, 0]]))
        tensor([[[[-1.]],
        <BLANKLINE>
                 [[ 4.]]]])
    """
    if weights.ndim != 2 or features.ndim != 4 or weights.shape[1] != features.shape[1]:
        raise ShapeError(
            f"features {tuple(features.shape)} and classifier {tuple(weights.shape)} disagree",
            expected="(B, C, h, w) and (K, C)",
        )
    check_class_ids(class_ids, len(features), len(weights))
    return weighted_channel_sum(features, weights[class_ids])


def select_class_maps(class_maps: Tensor, class_ids: Tensor) -> Tensor:
    """Pick the asked classes out of all classes' maps.

    Args:
        class_maps: ``(B, K, h, w)``, for example the output of a convolutional classifier.
        class_ids: ``(B, n)`` int64 in ``[0, K)``.

    Returns:
        ``(B, n, h, w)``.

    Raises:
        ShapeError: The arguments disagree on B, or a class is not in ``[0, K)``.

    Example:
        >>> class_maps = torch.tensor([5.0, 6.0, 7.0]).view(1, 3, 1, 1)
        >>> select_class_maps(class_maps, torch.tensor([[2, 0]]))
        tensor([[[[7.]],
        <BLANKLINE>
                 [[5.]]]])
    """
    if class_maps.ndim != 4:
        raise ShapeError(f"class maps of shape {tuple(class_maps.shape)}", expected="(B, K, h, w)")
    check_class_ids(class_ids, *class_maps.shape[:2])
    images = torch.arange(len(class_maps), device=class_maps.device)
    return class_maps[images[:, None], class_ids]


def grad_cam_weights(gradients: Tensor) -> Tensor:
    r"""Average each channel's gradient over the grid.

    Eq. (1) of Selvaraju et al., ICCV 2017 (arXiv:1610.02391), with :math:`Z = hw`:

    .. math:: \alpha_k^c = \frac{1}{Z} \sum_i \sum_j \frac{\partial y^c}{\partial A^k_{ij}}

    Args:
        gradients: ``(B, n, C, h, w)`` float, of each asked class's score by the features.

    Returns:
        ``(B, n, C)`` float. The map is the ReLU of :func:`weighted_channel_sum`, Eq. (2).

    Raises:
        ShapeError: ``gradients`` has not five dimensions.

    Example:
        >>> grad_cam_weights(torch.tensor([1.0, 2.0, 3.0, 6.0]).view(1, 1, 1, 2, 2))
        tensor([[[3.]]])
    """
    _check_gradients(gradients)
    return gradients.mean(dim=(-2, -1))


def grad_cam_plus_plus_weights(features: Tensor, gradients: Tensor) -> Tensor:
    r"""Weigh each pixel's positive gradient by its share in the score.

    Eqs. (10) and (19) of Chattopadhay et al., WACV 2018 (arXiv:1710.11063). With the score
    :math:`Y = \exp(S)`, :math:`g = \partial S / \partial A^k_{ij}` and piecewise linear S,

    .. math::
        \alpha_{ij} = \frac{g^2}{2 g^2 + g^3 \sum_{ab} A^k_{ab}}
                    = \frac{1}{2 + g \sum_{ab} A^k_{ab}}, \qquad
        w_k = \exp(S) \sum_{ij} \alpha_{ij} \operatorname{ReLU}(g).

    Cancelling :math:`g^2` spares the usual epsilon, which outweighs the squares of small gradients.
    The factor :math:`\exp(S)` is left out: it scales a whole map, so min-max undoes it, and it
    overflows. The derivation needs features that are not negative (after a ReLU); where they sum to
    :math:`-2 / g` the coefficient has no value and is taken as 0.

    Args:
        features: ``(B, C, h, w)`` float, the A.
        gradients: ``(B, n, C, h, w)`` float, of each asked class's logit S by ``features``.

    Returns:
        ``(B, n, C)`` float. The map is the ReLU of :func:`weighted_channel_sum`.

    Raises:
        ShapeError: The arguments disagree.

    Example:
        >>> features = torch.tensor([2.0, 4.0]).view(1, 1, 1, 2)  # sum 6
        >>> grad_cam_plus_plus_weights(features, torch.tensor([0.5, -1.0]).view(1, 1, 1, 1, 2))
        tensor([[[0.1000]]])
    """
    _check_gradients(gradients)
    if features.ndim != 4 or gradients[:, 0].shape != features.shape:
        raise ShapeError(
            f"features {tuple(features.shape)}, gradients {tuple(gradients.shape)} disagree",
            expected="(B, C, h, w) and (B, n, C, h, w)",
        )
    positive = gradients.relu()  # alpha counts only where the gradient is positive
    denominators = 2 + positive * features.sum(dim=(-2, -1), keepdim=True)[:, None]
    shares = torch.where(denominators == 0, torch.zeros_like(positive), positive / denominators)
    return shares.sum(dim=(-2, -1))


def channel_masks(features: Tensor, size: tuple[int, int]) -> Tensor:
    r"""Turn channels into soft masks of the image.

    Wang et al., CVPR Workshops 2020 (arXiv:1910.01279), definition of the channel-wise increase of
    confidence: :math:`H_k = s(\operatorname{Up}(A_k))`, s the min-max and Up bilinear resizing.

    Args:
        features: ``(..., h, w)`` float.
        size: (H, W) of the image.

    Returns:
        ``(..., H, W)`` float in [0, 1]; zeros for a constant channel.

    Example:
        >>> channel_masks(torch.tensor([[1.0, 3.0]]), (1, 4))
        tensor([[0.0000, 0.2500, 0.7500, 1.0000]])
    """
    return minmax_normalize(resize_maps(features, size))


def score_cam_weights(scores: Tensor) -> Tensor:
    r"""Softmax over the channels of the scores that their masks leave.

    Algorithm 1 of Wang et al., CVPR Workshops 2020 (arXiv:1910.01279):

    .. math:: w_k^c = \operatorname{softmax}_k\left(f^c(X \circ H_k) - f^c(X_b)\right)

    The baseline's score :math:`f^c(X_b)` is the same for every channel, so it cancels in the
    softmax and is never needed.

    Args:
        scores: ``(B, C, n)`` float, logits of the asked classes with the image masked by each
            channel; ``-inf`` for a channel that is left out.

    Returns:
        ``(B, n, C)`` float, each row summing to 1; zeros where every channel is left out.

    Example:
        >>> score_cam_weights(torch.tensor([0.0, 1.0986123, -torch.inf]).view(1, 3, 1))
        tensor([[[0.2500, 0.7500, 0.0000]]])
    """
    if scores.ndim != 3:
        raise ShapeError(f"scores of shape {tuple(scores.shape)}", expected="(B, C, n)")
    left_out = scores.isneginf()
    safe = scores.masked_fill(left_out.all(dim=1, keepdim=True), 0.0)
    return safe.softmax(dim=1).masked_fill(left_out, 0.0).transpose(1, 2)


def check_class_ids(class_ids: Tensor, batch_size: int, num_classes: int) -> None:
    """Raise ShapeError unless ``class_ids`` is ``(B, n)`` int64 in ``[0, K)``."""
    if class_ids.ndim != 2 or len(class_ids) != batch_size or class_ids.dtype != torch.int64:
        raise ShapeError(
            f"class ids of shape {tuple(class_ids.shape)}, {class_ids.dtype}",
            expected=f"({batch_size}, n) int64",
        )
    if class_ids.numel() and not 0 <= class_ids.min() <= class_ids.max() < num_classes:
        raise ShapeError(
            f"class ids from {class_ids.min()} to {class_ids.max()}",
            expected=f"classes from 0 to {num_classes - 1}",
            hint="-1 stands for an unknown label: ask for predicted classes there",
        )


def _check_gradients(gradients: Tensor) -> None:
    if gradients.ndim != 5:
        raise ShapeError(f"gradients of {tuple(gradients.shape)}", expected="(B, n, C, h, w)")
