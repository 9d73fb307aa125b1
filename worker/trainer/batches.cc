#include "worker/trainer/batches.h"

#include <ATen/ATen.h>

namespace cherry::trainer {

Batch ReadBatch(const TokenWindows& data, absl::Span<const int64_t> windows, c10::Device device) {
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
  batch.targets = raw.slice(1, 1, length + 1).contiguous();
  if (!device.is_cpu()) {
    batch.tokens = batch.tokens.to(device);
    batch.targets = batch.targets.to(device);
  }
  return batch;
}

}  // namespace cherry::trainer
