// The parts below a trainer, on a real GPU: what NVML shows, NCCL's sums, the operators against the CPU's
// kernels.
#include "worker/trainer/device.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <thread>
#include <vector>

#include "common/status.h"
#include "worker/agent/nvml.h"
#include "worker/agent/slots.h"
#include "worker/kernels/cross_entropy.h"
#include "worker/model/transformer.h"
#include "worker/optim/adamw.h"

namespace cherry::trainer {
namespace {

using ::testing::HasSubstr;

const Device& Gpu() {
  static const Device device = [] {
    v1::Slot slot;
    slot.set_device(v1::Resources::CUDA);
    const absl::StatusOr<Device> opened = OpenDevice(slot);
    EXPECT_TRUE(opened.ok()) << opened.status();
    return opened.value_or(Device());
  }();
  return device;
}

absl::Span<float> ValuesOf(const at::Tensor& tensor) {
  return absl::MakeSpan(tensor.data_ptr<float>(), static_cast<size_t>(tensor.numel()));
}

double RelativeError(const at::Tensor& value, const at::Tensor& expected) {
  return ((value.cpu() - expected).norm() / expected.norm()).item<double>();
}

ModelShape Small() {
  return {.layers = 3, .dim = 64, .heads = 4, .kv_heads = 2, .ffn_dim = 96, .vocab = 128, .qk_norm = true};
}

at::Tensor Ids(int64_t batch, int64_t length, int64_t shift) {
  return (at::arange(batch * length, at::kLong) * 31 + shift).remainder(127).view({batch, length});
}

struct Gradients {
  double loss;
  at::Tensor flat;
};

Gradients Backpropagate(Transformer* model, at::Device device) {
  at::Tensor targets = Ids(4, 48, 31);
  targets.narrow(1, 0, 3).fill_(-100);
  model->parameters().ZeroGradients();
  const LossSum loss = model->Loss(Ids(4, 48, 0).to(device), targets.to(device));
  EXPECT_EQ(loss.count.item<int64_t>(), 4 * 45);
  loss.sum.backward();
  return {loss.sum.item<double>(), model->parameters().gradients().clone()};
}

TEST(GpuDeviceTest, TheWorkerFindsItAndOffersItAsASlot) {
  const std::vector<worker::Gpu> gpus = worker::FindGpus();
  ASSERT_FALSE(gpus.empty());
  EXPECT_THAT(gpus[0].uuid, HasSubstr("GPU-"));
  EXPECT_FALSE(gpus[0].name.empty());
  EXPECT_GT(gpus[0].memory_bytes, int64_t{1} << 30);
  const auto slots = worker::PlanSlots(worker::FindResources(), 0);
  ASSERT_TRUE(slots.ok()) << slots.status();
  EXPECT_EQ((*slots)[0].device(), v1::Resources::CUDA);
}

TEST(GpuDeviceTest, Fp32AgreesWithTheCpu) {
  ModelShape shape = Small();
  shape.init_std = 0.1;
  for (const bool recompute : {false, true}) {
    Transformer cpu(shape, {.recompute_layers = recompute}, 3);
    Transformer gpu(shape, {.device = Gpu().torch, .recompute_layers = recompute}, 3);
    const Gradients expected = Backpropagate(&cpu, at::kCPU);
    const Gradients value = Backpropagate(&gpu, Gpu().torch);
    EXPECT_NEAR(value.loss / expected.loss, 1.0, 1e-6);
    EXPECT_LT(RelativeError(value.flat, expected.flat), 1e-5);
  }
}

TEST(GpuDeviceTest, Bf16AgreesWithinItsPrecision) {
  ModelShape shape = Small();
  shape.init_std = 0.1;
  Transformer cpu(shape, {}, 3);
  Transformer gpu(shape, {.device = Gpu().torch, .compute = at::kBFloat16}, 3);
  const Gradients expected = Backpropagate(&cpu, at::kCPU);
  const Gradients value = Backpropagate(&gpu, Gpu().torch);
  EXPECT_NEAR(value.loss / expected.loss, 1.0, 5e-3);
  EXPECT_LT(RelativeError(value.flat, expected.flat), 5e-2);
}

TEST(GpuDeviceTest, TheHeadsLossInChunksAgreesWithThePlainOne) {
  const at::TensorOptions gpu = at::TensorOptions().device(Gpu().torch);
  const int64_t rows = 17000, dim = 64, vocab = 20000;  // Two chunks.
  at::Tensor targets = at::randint(vocab, {rows}, gpu.dtype(at::kLong));
  targets.slice(0, 0, rows, 7).fill_(kIgnoredTarget);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const auto leaf = [&](at::IntArrayRef shape, double scale) {
      return (at::randn(shape, gpu) * scale).to(type).detach().requires_grad_(true);
    };
    // Some rows are so sure of another token that the target's probability is no float any more.
    const at::Tensor hidden = leaf({rows, dim}, 1.0), weight = leaf({vocab, dim}, 1.5);
    const at::Tensor expected = PlainHeadCrossEntropy(hidden, weight, targets);
    (expected * 0.5).backward();
    const at::Tensor dhidden = hidden.grad().clone(), dweight = weight.grad().clone();
    hidden.mutable_grad() = at::Tensor();
    weight.mutable_grad() = at::Tensor();
    const at::Tensor loss = HeadCrossEntropy(hidden, weight, targets);
    (loss * 0.5).backward();
    const double bound = type == at::kFloat ? 1e-5 : 1e-2;
    EXPECT_NEAR(loss.item<double>() / expected.item<double>(), 1.0, type == at::kFloat ? 1e-6 : 1e-4);
    EXPECT_LT(RelativeError(hidden.grad().to(at::kFloat), dhidden.to(at::kFloat).cpu()), bound);
    EXPECT_LT(RelativeError(weight.grad().to(at::kFloat), dweight.to(at::kFloat).cpu()), bound);
    const at::NoGradGuard no_gradient;
    EXPECT_EQ(HeadCrossEntropy(hidden, weight, targets).item<double>(), loss.item<double>());
  }
}

TEST(GpuDeviceTest, AdamWAgreesWithTheCpu) {
  Transformer cpu(Small(), {}, 3);
  Transformer gpu(Small(), {.device = Gpu().torch}, 3);
  AdamW on_cpu(&cpu.parameters(), {}), on_gpu(&gpu.parameters(), {});
  at::Tensor gradient = at::randn_like(cpu.parameters().gradients());
  for (int step = 0; step < 5; ++step) {
    cpu.parameters().gradients().copy_(gradient.mul_(0.9));
    gpu.parameters().gradients().copy_(gradient);
    const double norm = on_cpu.Step(1e-3, 0.5);
    EXPECT_NEAR(on_gpu.Step(1e-3, 0.5) / norm, 1.0, 1e-5);
  }
  EXPECT_LT(RelativeError(gpu.parameters().values(), cpu.parameters().values()), 1e-6);
  EXPECT_LT(RelativeError(on_gpu.exp_avg(), on_cpu.exp_avg()), 1e-5);
  EXPECT_LT(RelativeError(on_gpu.exp_avg_sq(), on_cpu.exp_avg_sq()), 1e-5);
}

TEST(GpuDeviceTest, NcclTakesAGroupOfOneBesideTheDefaultStream) {
  LocalRendezvous rendezvous;
  auto collective = MakeDeviceCollective(Gpu(), 0, 1, &rendezvous, absl::Now() + absl::Seconds(60));
  ASSERT_TRUE(collective.ok()) << collective.status();
  const at::TensorOptions options = at::TensorOptions().dtype(at::kFloat).device(Gpu().torch);
  // The sum of one rank changes nothing, so this shows that the calls are right, not their order.
  const at::Tensor values = at::zeros({20, 1 << 20}, options);
  const at::Tensor square = at::ones({8192, 8192}, options);
  for (int round = 1; round <= 3; ++round) {
    const at::Tensor one = at::matmul(square, square).select(0, 0).select(0, 0) / 8192.0;
    values.add_(one);
    for (int i = 0; i < 20; ++i) {
      (*collective)->Start(ValuesOf(values.select(0, i)));
    }
    ASSERT_TRUE((*collective)->Wait().ok());
    EXPECT_EQ((values * 2.0).sum().item<double>(), 2.0 * round * 20 * (1 << 20));
  }
  EXPECT_TRUE((*collective)->AllReduceSum(ValuesOf(values.select(0, 3))).ok());
}

TEST(GpuDeviceTest, ARankThatNeverComesEndsWithTheDeadline) {
  LocalRendezvous rendezvous;
  const absl::Time begin = absl::Now();
  const auto collective = MakeDeviceCollective(Gpu(), 0, 2, &rendezvous, begin + absl::Seconds(3));
  EXPECT_EQ(InfoOf(collective.status()).reason(), "PEER_LOST") << collective.status();
  EXPECT_LT(absl::Now() - begin, absl::Seconds(30));
}

TEST(GpuDeviceTest, TwoRanksOnOneGpuAreRefusedByNccl) {
  LocalRendezvous rendezvous;
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < 2; ++rank) {
    ranks.emplace_back([&rendezvous, rank] {
      const auto collective =
          MakeDeviceCollective(Gpu(), rank, 2, &rendezvous, absl::Now() + absl::Seconds(20));
      EXPECT_EQ(InfoOf(collective.status()).reason(), "PEER_LOST") << collective.status();
      EXPECT_THAT(collective.status().message(), HasSubstr("NCCL: joining the group"));
    });
  }
  for (std::thread& rank : ranks) {
    rank.join();
  }
}

TEST(GpuDeviceTest, DecodingWithACacheGivesTheFullModelsLogits) {
  const at::NoGradGuard no_gradient;
  Transformer model(Small(), {.device = Gpu().torch}, 3);
  const at::Tensor ids = Ids(1, 12, 5).to(Gpu().torch);
  const at::Tensor full = model.Logits(model.Hidden(ids)).select(1, 11).flatten();
  KvCache cache;
  model.Decode(ids.narrow(1, 0, 7), 1, &cache).flatten();
  at::Tensor last;
  for (int64_t i = 7; i < 12; ++i) {
    last = model.Decode(ids.narrow(1, i, 1), 1, &cache).flatten();
  }
  EXPECT_LT(RelativeError(last, full.cpu()), 1e-5);
}

}  // namespace
}  // namespace cherry::trainer
