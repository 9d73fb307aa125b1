#include "worker/trainer/generate.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/cpus.h"
#include "common/file.h"
#include "common/frame.h"
#include "common/hf_config.h"
#include "common/log.h"
#include "common/manifest.h"
#include "common/status.h"
#include "worker/checkpoint/load.h"
#include "worker/model/transformer.h"
#include "worker/trainer/drafts.h"
#include "worker/trainer/outcome.h"
#include "worker/trainer/process.h"
#include "worker/trainer/state_copy.h"
#include "worker/trainer/token_sampler.h"

namespace cherry::trainer {
namespace {

constexpr int32_t kMostTokens = 1 << 20;
constexpr int32_t kMostDrafts = 16;

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
  if (request.draft_tokens() < 0 || request.draft_tokens() > kMostDrafts) {
    return InvalidField("OUT_OF_RANGE", "draft_tokens",
                        absl::StrCat("draft_tokens: ", request.draft_tokens(), " is not in 0..", kMostDrafts),
                        "give a value in that range");
  }
  if (request.temperature() < 0.0 || request.top_k() < 0 || request.top_p() < 0.0 || request.top_p() > 1.0) {
    return InvalidField("OUT_OF_RANGE", "temperature",
                        "temperature or top_k is negative, or top_p is not in 0..1", "give values in range");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<LanguageModel>> LoadModel(const v1::GenerateRequest& request) {
  const std::string& directory = request.checkpoint_directory();
  RETURN_IF_ERROR(VerifyCheckpoint(directory).status());
  ASSIGN_OR_RETURN(const std::string config, ReadFile(absl::StrCat(directory, "/", kConfigFile)));
  ASSIGN_OR_RETURN(const ModelShape shape, ParseHfConfig(config));
  RETURN_IF_ERROR(CheckRequest(request, shape.vocab));
  std::unique_ptr<LanguageModel> model = MakeLanguageModel(shape, {.frozen = true}, /*seed=*/0);
  HostState state = MakeHostState(model->parameters(), /*moments=*/false);
  RETURN_IF_ERROR(LoadWeights(directory, &state));
  CopyFromHost(state, &model->parameters(), /*optimizer=*/nullptr);
  return model;
}

// One request under way. `text` is the prompt and what was said since; the model has read all of it but the
// tokens from `read` on.
class Decoder {
 public:
  Decoder(const v1::GenerateRequest& request, LanguageModel* model, std::unique_ptr<Drafter> drafter, int out)
      : request_(request),
        model_(model),
        drafter_(std::move(drafter)),
        out_(out),
        sampler_(request),
        text_(request.prompt().begin(), request.prompt().end()) {}

  absl::StatusOr<v1::GenerateDone> Run();

 private:
  std::vector<int64_t> Drafts();
  // Reads the rest of the text and then `drafts`: logits of the text's last token and of every draft.
  at::Tensor Read(const std::vector<int64_t>& drafts);
  void Forget(size_t tokens);
  bool TooClose(const float* logits, int64_t vocab) const;
  absl::Status Say(int32_t token);

  const v1::GenerateRequest& request_;
  LanguageModel* const model_;
  const std::unique_ptr<Drafter> drafter_;  // Null without drafts.
  const int out_;
  TokenSampler sampler_;
  std::vector<int64_t> text_;
  KvCache cache_;
  at::Tensor states_;  // Of what was read since the last drafts.
  bool alone_ = true;  // The next token is decided by a pass without drafts.
  int32_t said_ = 0;
  bool ended_ = false;
  v1::GenerateDone done_;
};

std::vector<int64_t> Decoder::Drafts() {
  // The first pass reads the prompt, and after a close call a token is looked at once more, by itself.
  const bool alone = std::exchange(alone_, false);
  const int64_t count = std::min<int64_t>(request_.draft_tokens(), request_.max_new_tokens() - said_ - 1);
  if (drafter_ == nullptr || alone || count < 1) {
    return {};
  }
  const at::Tensor states = std::exchange(states_, at::Tensor());
  return drafter_->Draft(text_, states, count);
}

at::Tensor Decoder::Read(const std::vector<int64_t>& drafts) {
  std::vector<int64_t> ids(text_.begin() + cache_.length, text_.end());
  ids.insert(ids.end(), drafts.begin(), drafts.end());
  const at::Tensor input = at::tensor(ids, at::kLong).unsqueeze(0);
  const auto rows = static_cast<int64_t>(drafts.size()) + 1;
  if (drafter_ == nullptr) {
    return model_->Decode(input, rows, &cache_).contiguous();
  }
  auto* const transformer = static_cast<Transformer*>(model_);
  const at::Tensor states = transformer->DecodeStates(input, &cache_);
  states_ = states_.defined() ? at::cat({states_, states}, 1) : states;
  return transformer->Logits(states.narrow(1, states.size(1) - rows, rows)).flatten(0, 1).contiguous();
}

// Takes the last tokens that were read back.
void Decoder::Forget(size_t tokens) {
  if (tokens > 0) {
    cache_.length -= static_cast<int64_t>(tokens);
    states_ = states_.narrow(1, 0, states_.size(1) - static_cast<int64_t>(tokens));
  }
}

// A pass over several tokens rounds otherwise than one over a single token does: where the two highest logits
// lie closer together than that, only the latter gives what decoding without drafts would.
bool Decoder::TooClose(const float* logits, int64_t vocab) const {
  constexpr float kRounding = 1e-4F;
  if (request_.temperature() > 0.0) {
    return false;
  }
  float first = -std::numeric_limits<float>::infinity(), second = first;
  for (int64_t i = 0; i < vocab; ++i) {
    if (logits[i] > first) {
      second = std::exchange(first, logits[i]);
    } else if (logits[i] > second) {
      second = logits[i];
    }
  }
  return first - second < kRounding * std::max(1.0F, std::abs(first));
}

absl::Status Decoder::Say(int32_t token) {
  const std::vector<int32_t>& ends = model_->shape().end_tokens;
  if (std::find(ends.begin(), ends.end(), token) != ends.end()) {
    ended_ = true;
    return absl::OkStatus();
  }
  text_.push_back(token);
  ++said_;
  v1::GenerateReply reply;
  reply.set_token(token);
  return WriteFrame(out_, reply);
}

absl::StatusOr<v1::GenerateDone> Decoder::Run() {
  const absl::Time begin = absl::Now();
  const auto drafted = static_cast<size_t>(request_.draft_tokens());
  done_.mutable_drafted()->Resize(static_cast<int>(drafted), 0);
  done_.mutable_accepted()->Resize(static_cast<int>(drafted), 0);
  while (!ended_ && said_ < request_.max_new_tokens()) {
    const std::vector<int64_t> drafts = Drafts();
    const at::Tensor logits = Read(drafts);
    const int64_t vocab = logits.size(1);
    for (size_t i = 0; i < drafts.size(); ++i) {
      done_.set_drafted(static_cast<int>(i), done_.drafted(static_cast<int>(i)) + 1);
    }
    for (size_t i = 0; i <= drafts.size() && !ended_; ++i) {
      const float* const row = logits.const_data_ptr<float>() + static_cast<int64_t>(i) * vocab;
      if (!drafts.empty() && TooClose(row, vocab)) {
        Forget(drafts.size() - i + 1);
        alone_ = true;
        break;
      }
      const int32_t token = sampler_.Next(absl::MakeConstSpan(row, static_cast<size_t>(vocab)));
      RETURN_IF_ERROR(Say(token));
      if (i < drafts.size() && (ended_ || token != drafts[i])) {
        Forget(drafts.size() - i);
        break;
      }
      if (i < drafts.size()) {
        done_.set_accepted(static_cast<int>(i), done_.accepted(static_cast<int>(i)) + 1);
      }
    }
  }
  done_.set_reason(ended_ ? v1::GenerateDone::END_OF_TEXT : v1::GenerateDone::LENGTH);
  done_.set_seconds(absl::ToDoubleSeconds(absl::Now() - begin));
  return done_;
}

absl::StatusOr<v1::GenerateDone> Generate(int in, int out) {
  v1::GenerateRequest request;
  RETURN_IF_ERROR(Annotate(ReadFrame(in, &request), "reading the request"));
  SetUpThreads(request.threads() > 0 ? request.threads() : AvailableCpus());
  ASSIGN_OR_RETURN(const std::unique_ptr<LanguageModel> model, LoadModel(request));
  std::unique_ptr<Drafter> drafter;
  if (request.draft_tokens() > 0) {
    ASSIGN_OR_RETURN(drafter, MakeDrafter(model.get()));
  }
  return Decoder(request, model.get(), std::move(drafter), out).Run();
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
