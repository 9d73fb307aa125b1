#include "worker/checkpoint/load.h"

#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/half.h"
#include "common/manifest.h"
#include "common/parameter_names.h"
#include "common/safetensors.h"
#include "common/status.h"

namespace cherry::trainer {
namespace {

absl::Status Mismatch(const std::string& path, absl::string_view what) {
  return InvalidField("CHECKPOINT_SHAPE", "model", absl::StrCat(path, ": ", what),
                      "use the model that the checkpoint was saved from");
}

// Imported weights may be stored in 16 bits.
bool Widen(const SafetensorsFile& file, const TensorInfo& tensor, int64_t elements, float* out) {
  const auto widen = [&](float (*from)(uint16_t)) {
    const auto* const stored = static_cast<const char*>(file.Data(tensor));
    for (int64_t i = 0; i < elements; ++i) {
      uint16_t bits;
      std::memcpy(&bits, stored + i * static_cast<int64_t>(sizeof(bits)), sizeof(bits));
      out[i] = from(bits);
    }
  };
  if (tensor.dtype == "F32") {
    std::memcpy(out, file.Data(tensor), static_cast<size_t>(tensor.bytes));
  } else if (tensor.dtype == "BF16") {
    widen(FromBfloat16);
  } else if (tensor.dtype == "F16") {
    widen(FromFloat16);
  } else {
    return false;
  }
  return true;
}

absl::Status LoadTensor(const SafetensorsFile& file, const std::string& path, const std::string& name,
                        const TensorPlace& place, std::vector<float>* buffer) {
  const absl::StatusOr<TensorInfo> tensor = file.Find(name);
  if (!tensor.ok()) {
    return Mismatch(path, absl::StrCat("it has no tensor ", name));
  }
  if (tensor->shape != place.shape || !Widen(file, *tensor, place.elements, buffer->data() + place.offset)) {
    return Mismatch(
        path, absl::StrCat("tensor ", name, " is ", tensor->dtype, " [", absl::StrJoin(tensor->shape, ", "),
                           "], the model's is F32 [", absl::StrJoin(place.shape, ", "), "]"));
  }
  return absl::OkStatus();
}

absl::Status Load(const std::string& directory, bool chain_may_differ, HostState* state) {
  const std::string path = absl::StrCat(directory, "/", kModelFile);
  ASSIGN_OR_RETURN(const auto file, SafetensorsFile::Open(path));
  size_t ours = 0;
  for (const TensorPlace& place : state->places) {
    const bool chain = chain_may_differ && IsChainName(place.name);
    if (!chain || file->Find(place.name).ok()) {
      RETURN_IF_ERROR(LoadTensor(*file, path, place.name, place, &state->values));
    }
    ours += chain ? 0 : 1;
  }
  size_t theirs = 0;
  for (const TensorInfo& tensor : file->tensors()) {
    theirs += chain_may_differ && IsChainName(tensor.name) ? 0 : 1;
  }
  if (theirs != ours) {
    return Mismatch(path, absl::StrCat("it has ", theirs, " tensors, the model ", ours));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status LoadWeights(const std::string& directory, HostState* state) {
  return Load(directory, /*chain_may_differ=*/false, state);
}

absl::Status LoadStartWeights(const std::string& directory, HostState* state) {
  return Load(directory, /*chain_may_differ=*/true, state);
}

absl::Status LoadMoments(const std::string& directory, HostState* state) {
  const std::string path = absl::StrCat(directory, "/", kOptimizerFile);
  ASSIGN_OR_RETURN(const auto file, SafetensorsFile::Open(path));
  for (const TensorPlace& place : state->places) {
    RETURN_IF_ERROR(LoadTensor(*file, path, absl::StrCat("exp_avg.", place.name), place, &state->exp_avg));
    RETURN_IF_ERROR(
        LoadTensor(*file, path, absl::StrCat("exp_avg_sq.", place.name), place, &state->exp_avg_sq));
  }
  return absl::OkStatus();
}

}  // namespace cherry::trainer
