import pytest
import torch
from torch import nn

from wsoltool.errors import ConfigError, ShapeError
from wsoltool.models.losses import BinaryCrossEntropy, CrossEntropy
from wsoltool.structures import Samples
from wsoltool.testing import check_head
from wsoltool_plugins import cam
from wsoltool_plugins.cam.cam import CAMHead, ConvHead

CHANNELS = {"pool1": 4, "last": 6}


def test_face_offers_both_heads():
    assert cam.wsoltool_cam_heads() == [CAMHead, ConvHead]


@pytest.mark.parametrize("head", [CAMHead, ConvHead])
@pytest.mark.parametrize("tap", ["pool1", "last"])
def test_contract(head, tap):
    check_head(head(CHANNELS, num_classes=5, tap=tap), CHANNELS, labels=("index", "soft"))
    multi_label = head(CHANNELS, num_classes=5, tap=tap, loss=BinaryCrossEntropy())
    check_head(multi_label, CHANNELS, labels=("index", "soft", "multi_hot"))


def test_conv_head_with_bias_keeps_the_contract():
    check_head(ConvHead(CHANNELS, num_classes=5, bias=True), CHANNELS)


def test_cam_head_by_hand():
    head = CAMHead({"last": 2}, num_classes=2)
    with torch.no_grad():
        head.classifier.weight.copy_(torch.tensor([[1.0, 2.0], [-1.0, 0.5]]))
        head.classifier.bias.copy_(torch.tensor([10.0, 20.0]))
    features = {"last": torch.tensor([[[[1.0, 3.0]], [[2.0, 4.0]]]])}  # means 2 and 3
    torch.testing.assert_close(head.logits(features), torch.tensor([[18.0, 19.5]]))
    maps = head.maps(features, torch.tensor([[1, 0]]))["cam"]
    torch.testing.assert_close(maps, torch.tensor([[[[0.0, -1.0]], [[5.0, 11.0]]]]))


def test_conv_head_by_hand():
    head = ConvHead({"last": 2}, num_classes=2, bias=True)
    with torch.no_grad():
        head.classifier.weight.copy_(torch.tensor([[1.0, 2.0], [-1.0, 0.5]])[..., None, None])
        head.classifier.bias.copy_(torch.tensor([10.0, 20.0]))
    features = {"last": torch.tensor([[[[1.0, 3.0]], [[2.0, 4.0]]]])}
    torch.testing.assert_close(head.logits(features), torch.tensor([[18.0, 19.5]]))
    maps = head.maps(features, torch.tensor([[1, 0]]))["cam"]
    torch.testing.assert_close(maps, torch.tensor([[[[20.0, 19.0]], [[15.0, 21.0]]]]))


def test_both_forms_are_equal_for_equal_weights():
    linear, convolutional = CAMHead(CHANNELS, 5), ConvHead(CHANNELS, 5)
    with torch.no_grad():
        convolutional.classifier.weight.copy_(linear.classifier.weight[..., None, None])
    features, class_ids = {"last": torch.randn(3, 6, 4, 7)}, torch.randint(5, (3, 2))
    torch.testing.assert_close(convolutional.logits(features), linear.logits(features))
    torch.testing.assert_close(
        convolutional.maps(features, class_ids)["cam"], linear.maps(features, class_ids)["cam"]
    )


@pytest.mark.parametrize("head", [CAMHead, ConvHead])
def test_the_map_averages_to_the_logit(head):
    built = head(CHANNELS, 5)
    features, class_ids = {"last": torch.randn(2, 6, 3, 4)}, torch.tensor([[0, 4], [2, 2]])
    means = built.maps(features, class_ids)["cam"].mean(dim=(2, 3))
    torch.testing.assert_close(means, built.logits(features).gather(1, class_ids))


@pytest.mark.parametrize("head", [CAMHead, ConvHead])
def test_the_map_is_the_class_weights_sum_of_the_features(head):
    built = head(CHANNELS, 5)
    weights = built.class_weights()
    assert weights.shape == (5, 6)
    features, class_ids = {"last": torch.randn(2, 6, 3, 4)}, torch.tensor([[0, 4], [2, 2]])
    expected = torch.einsum("bnk,bkhw->bnhw", weights[class_ids], features["last"])
    torch.testing.assert_close(built.maps(features, class_ids)["cam"], expected)
    built.loss(features, Samples(torch.tensor([4, 0])))["loss_cls"].backward()
    weights.sum().backward()  # they are the parameters, not a copy


@pytest.mark.parametrize("head", [CAMHead, ConvHead])
def test_loss_is_the_criterion_of_the_logits(head):
    features = {"last": torch.randn(2, 6, 3, 4)}
    single = head(CHANNELS, 5)
    samples = Samples(torch.tensor([4, 0]))
    expected = nn.functional.cross_entropy(single.logits(features), samples.labels)
    torch.testing.assert_close(single.loss(features, samples), {"loss_cls": expected})
    torch.testing.assert_close(single.scores(features), single.logits(features).softmax(dim=1))
    multi = head(CHANNELS, 5, loss=BinaryCrossEntropy())
    torch.testing.assert_close(multi.scores(features), multi.logits(features).sigmoid())


def test_pooling_is_replaceable_and_leaves_the_map_alone():
    class Peak(nn.Module):
        def forward(self, features):
            return features.amax(dim=(2, 3))

    head = CAMHead(CHANNELS, 5, pooling=Peak())
    features, class_ids = {"last": torch.randn(2, 6, 3, 4)}, torch.tensor([[1], [2]])
    torch.testing.assert_close(
        head.logits(features), head.classifier(features["last"].amax(dim=(2, 3)))
    )
    plain = CAMHead(CHANNELS, 5)
    plain.load_state_dict(head.state_dict())
    torch.testing.assert_close(head.maps(features, class_ids), plain.maps(features, class_ids))


def test_initial_weights_follow_their_scheme():
    torch.manual_seed(0)
    linear = CAMHead({"last": 512}, 400).classifier
    assert linear.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert not linear.bias.any()
    convolution = ConvHead({"last": 512}, 400, bias=True).classifier
    assert convolution.weight.std().item() == pytest.approx((2 / 400) ** 0.5, rel=0.02)
    assert not convolution.bias.any()
    assert ConvHead({"last": 512}, 400).classifier.bias is None


def test_gradients_of_the_loss_pass_gradcheck():
    samples = Samples(torch.tensor([1, 0]))
    for head in (CAMHead({"last": 3}, 2), ConvHead({"last": 3}, 2, bias=True)):
        head.double()
        features = torch.randn(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
        function = lambda x, head=head: head.loss({"last": x}, samples)["loss_cls"]  # noqa: E731
        assert torch.autograd.gradcheck(function, features)


@pytest.mark.parametrize("head", [CAMHead, ConvHead])
def test_bad_options_name_the_remedy(head):
    with pytest.raises(ConfigError, match="num_classes=0"):
        head(CHANNELS, 0)
    with pytest.raises(ConfigError, match="num_classes=True"):
        head(CHANNELS, True)
    with pytest.raises(ConfigError) as caught:
        head(CHANNELS, 5, tap="lastt")
    assert "did you mean 'last'?" in str(caught.value)
    with pytest.raises(ConfigError, match="loss='CrossEntropy'"):
        head(CHANNELS, 5, loss="CrossEntropy")
    with pytest.raises(ConfigError, match="pooling='max'"):
        CAMHead(CHANNELS, 5, pooling="max")


@pytest.mark.parametrize("head", [CAMHead, ConvHead])
@pytest.mark.parametrize("class_id", [-1, 5])
def test_a_class_that_is_not_there_is_an_error(head, class_id):
    with pytest.raises(ShapeError, match="class ids"):
        head(CHANNELS, 5).maps({"last": torch.rand(1, 6, 2, 2)}, torch.tensor([[class_id]]))


def test_the_loss_that_was_given_is_used():
    loss = CrossEntropy(label_smoothing=0.1)
    assert CAMHead(CHANNELS, 5, loss=loss).criterion is loss
