#include "worker/trainer/batches.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "common/status.h"
#include "common/token_labels.h"
#include "worker/kernels/cross_entropy.h"

namespace cherry::trainer {
namespace {

// The labels of the targets: of each window all tokens but the first.
absl::Status ReadLabels(const SplitMixture& data, absl::Span<const int64_t> windows, Batch* batch) {
  std::vector<uint8_t> labels(static_cast<size_t>(data.sequence_length()) + 1);
  for (const int64_t window : windows) {
    RETURN_IF_ERROR(data.ReadLabels(window, absl::MakeSpan(labels)));
    batch->labels.insert(batch->labels.end(), labels.begin() + 1, labels.end());
  }
  return absl::OkStatus();
}

void CountResponses(Batch* batch) {
  int64_t* const targets = batch->targets.mutable_data_ptr<int64_t>();
  for (size_t i = 0; i < batch->labels.size(); ++i) {
    if ((batch->labels[i] & kResponse) == 0) {
      batch->counted[i] = 0;
      targets[i] = kIgnoredTarget;
    }
  }
}

}  // namespace

CountedTargets CountedOf(const v1::DataConfig& data) {
  return data.targets() == v1::DataConfig::RESPONSES ? CountedTargets::kResponses : CountedTargets::kAll;
}

absl::StatusOr<Batch> ReadBatch(const SplitMixture& data, absl::Span<const int64_t> windows,
                                absl::Span<const int64_t> samples, CountedTargets counted,
                                c10::Device device) {
  const int64_t length = data.sequence_length();
  const int64_t rows = static_cast<int64_t>(windows.size());
  const at::Tensor raw = at::empty({rows, length + 1}, at::TensorOptions().dtype(at::kLong));
  int64_t* out = raw.data_ptr<int64_t>();
  for (const int64_t window : windows) {
    data.Read(window, absl::MakeSpan(out, static_cast<size_t>(length + 1)));
    out += length + 1;
  }
  Batch batch;
  batch.tokens = raw.slice(1, 0, length).contiguous();
  // A copy: of a single row contiguous() would be a view, and what does not count is marked in it.
  batch.targets = raw.slice(1, 1, length + 1).clone(at::MemoryFormat::Contiguous);
  batch.counted.assign(static_cast<size_t>(rows * length), 1);
  batch.part = data.PartOf(windows.front());
  batch.samples.assign(samples.begin(), samples.end());
  if (data.has_labels()) {
    RETURN_IF_ERROR(ReadLabels(data, windows, &batch));
  }
  if (counted == CountedTargets::kResponses) {
    CountResponses(&batch);
  }
  if (!device.is_cpu()) {
    batch.tokens = batch.tokens.to(device);
    batch.targets = batch.targets.to(device);
  }
  return batch;
}

}  // namespace cherry::trainer
