// Text from a checkpoint: the tokens come from a `cherry-trainer` started for it, which holds no tokenizer.
#ifndef CHERRY_CLIENT_DATA_GENERATE_H_
#define CHERRY_CLIENT_DATA_GENERATE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "cherry/v1/trainer.pb.h"

namespace cherry::client {

// Makes text of tokens that arrive one by one: never half a character. Not thread-safe.
class TextStream {
 public:
  using Decode = std::function<absl::StatusOr<std::string>(absl::Span<const int32_t>)>;
  // `context` was shown already: its last tokens tell how the first new one is written.
  TextStream(Decode decode, std::vector<int32_t> context);

  // What can be shown now that could not before; often empty in the middle of a character.
  absl::StatusOr<std::string> Add(int32_t token);
  // What is left, with U+FFFD for an unfinished character.
  absl::StatusOr<std::string> Finish();

 private:
  absl::StatusOr<std::string> Next(bool last);

  const Decode decode_;
  std::vector<int32_t> tokens_;
  size_t shown_from_ = 0;  // Tokens that the next text is decoded with, so that spaces come out right.
  size_t shown_to_ = 0;
};

struct GenerateResult {
  int64_t tokens = 0;
  v1::GenerateDone::Reason reason = v1::GenerateDone::REASON_UNSPECIFIED;
  double seconds = 0;  // Without loading.
  // By position: how many tokens were drafted, and how many of them were said.
  std::vector<int64_t> drafted;
  std::vector<int64_t> accepted;
};

// Runs `trainer generate` with the request and calls `token` for each answer. The program is reaped before
// this returns, also on errors; what it wrote to its stderr is part of a failure's message. Thread-safe.
absl::StatusOr<GenerateResult> RunGenerate(const std::string& trainer, const v1::GenerateRequest& request,
                                           const std::function<absl::Status(int32_t)>& token);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_GENERATE_H_
