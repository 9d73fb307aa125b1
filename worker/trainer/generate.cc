#include "worker/trainer/generate.h"

#include <ATen/ATen.h>
#include <sched.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/file.h"
#include "common/frame.h"
#include "common/log.h"
#include "common/manifest.h"
#include "common/status.h"
#include "worker/checkpoint/hf_config.h"
#include "worker/checkpoint/load.h"
#include "worker/model/transformer.h"
#include "worker/trainer/outcome.h"
#include "worker/trainer/process.h"
#include "worker/trainer/state_copy.h"
#include "worker/trainer/token_sampler.h"

namespace cherry::trainer {
namespace {

constexpr int32_t kEndOfText = 2;
constexpr int32_t kMostTokens = 1 << 20;

absl::Status CheckRequest(const v1::GenerateRequest& request, int64_t vocab) {
  if (request.prompt().empty()) {
    return InvalidField("FIELD_REQUIRED", "prompt", "prompt: has no token", "begin with token 1");
  }
  for (const int32_t token : request.prompt()) {
    if (token < 0 || token >= vocab) {
      return InvalidField("OUT_OF_RANGE", "prompt",
                          absl::StrCat("prompt: token ", token, " is not in 0..", vocab - 1),
                          "use the checkpoint's own tokenizer");
    }
  }
  if (request.max_new_tokens() < 1 || request.max_new_tokens() > kMostTokens) {
    return InvalidField(
        "OUT_OF_RANGE", "max_new_tokens",
        absl::StrCat("max_new_tokens: ", request.max_new_tokens(), " is not in 1..", kMostTokens),
        "give a value in that range");
  }
  if (request.temperature() < 0.0 || request.top_k() < 0 || request.top_p() < 0.0 || request.top_p() > 1.0) {
    return InvalidField("OUT_OF_RANGE", "temperature",
                        "temperature or top_k is negative, or top_p is not in 0..1", "give values in range");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Transformer>> LoadModel(const v1::GenerateRequest& request) {
  const std::string& directory = request.checkpoint_directory();
  RETURN_IF_ERROR(VerifyCheckpoint(directory).status());
  ASSIGN_OR_RETURN(const std::string config, ReadFile(absl::StrCat(directory, "/", kConfigFile)));
  ASSIGN_OR_RETURN(const ModelShape shape, ParseHfConfig(config));
  RETURN_IF_ERROR(CheckRequest(request, shape.vocab));
  auto model = std::make_unique<Transformer>(shape, Transformer::Options(), /*seed=*/0);
  HostState state = MakeHostState(model->parameters());
  RETURN_IF_ERROR(LoadWeights(directory, &state));
  CopyFromHost(state, &model->parameters(), /*optimizer=*/nullptr);
  return model;
}

absl::StatusOr<v1::GenerateDone> Decode(const v1::GenerateRequest& request, Transformer* model, int out) {
  const absl::Time begin = absl::Now();
  TokenSampler sampler(request);
  KvCache cache;
  std::vector<int64_t> ids(request.prompt().begin(), request.prompt().end());
  v1::GenerateDone done;
  done.set_reason(v1::GenerateDone::LENGTH);
  for (int32_t i = 0; i < request.max_new_tokens(); ++i) {
    const at::Tensor input = at::from_blob(ids.data(), {1, static_cast<int64_t>(ids.size())},
                                           at::TensorOptions().dtype(at::kLong));
    const at::Tensor logits = model->Decode(input, &cache).contiguous();
    const int32_t token = sampler.Next(
        absl::MakeConstSpan(logits.const_data_ptr<float>(), static_cast<size_t>(logits.numel())));
    if (token == kEndOfText) {
      done.set_reason(v1::GenerateDone::END_OF_TEXT);
      break;
    }
    v1::GenerateReply reply;
    reply.set_token(token);
    RETURN_IF_ERROR(WriteFrame(out, reply));
    ids.assign(1, token);
  }
  done.set_seconds(absl::ToDoubleSeconds(absl::Now() - begin));
  return done;
}

absl::StatusOr<v1::GenerateDone> Generate(int in, int out) {
  v1::GenerateRequest request;
  RETURN_IF_ERROR(Annotate(ReadFrame(in, &request), "reading the request"));
  cpu_set_t cores;
  const int available = sched_getaffinity(0, sizeof(cores), &cores) == 0 ? CPU_COUNT(&cores) : 1;
  SetUpThreads(request.threads() > 0 ? request.threads() : available);
  ASSIGN_OR_RETURN(const std::unique_ptr<Transformer> model, LoadModel(request));
  return Decode(request, model.get(), out);
}

}  // namespace

int RunGenerate(int in, int out) {
  v1::GenerateReply reply;
  const absl::Status status = Guard([&] {
    absl::StatusOr<v1::GenerateDone> done = Generate(in, out);
    if (done.ok()) {
      *reply.mutable_done() = *done;
    }
    return done.status();
  });
  if (!status.ok()) {
    LogError(Describe(status));
    reply.mutable_done()->set_reason(v1::GenerateDone::FAILED);
    reply.mutable_done()->set_error(Describe(status));
  }
  const absl::Status written = WriteFrame(out, reply);
  return ExitCodeOf(status.ok() ? written : status);
}

}  // namespace cherry::trainer
