// Texts changed to control an experiment: what remains of an effect when the text keeps only so much of its
// order.
//
//   shuffle    the tokens of each response in any order: nothing but their frequencies is kept
//   k-let:K    a text drawn from all with the same k-grams: exact statistics of length K, nothing longer
//   sentences  the sentences of each response in any order
//
// A response is what an assistant says in chat data, and the whole document in plain text. Prompts stay, and
// so does the token that ends a response; labels travel with their tokens. Definitions: docs/methods.md,
// "Controls".
#ifndef CHERRY_CLIENT_DATA_CONTROL_H_
#define CHERRY_CLIENT_DATA_CONTROL_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "client/data/grams.h"
#include "client/data/random.h"

namespace cherry::client {

struct Control {
  enum class Kind { kNone, kShuffle, kKLet, kSentences };
  Kind kind = Kind::kNone;
  int k = 0;  // Of kKLet.
};

// "" is none. Errors name the field `control`. Thread-safe.
absl::StatusOr<Control> ParseControl(absl::string_view text);
// What ParseControl reads, in one spelling.
std::string ControlName(const Control& control);

// What is left of one split's n-grams: see CountSurvival. n is 3, 4, 6, and under k-let 2 K + 2, in ascending
// order.
struct ControlSurvival {
  std::string split;
  int64_t blocks = 0;
  int64_t tokens = 0;  // That could move, and the ends of their responses.
  std::vector<GramSurvival> grams;
};

// Refuses a k-let text that is too much like its original, because the K-grams of a short or repetitive text
// leave few other ones: more than 0.05 of the (2 K + 2)-grams survive, or it is too short to hold any.
absl::Status CheckSurvival(const Control& control, const ControlSurvival& survival);

// Changes the documents of one split, as they come, in blocks of whole documents. Not thread-safe.
class ControlledSplit {
 public:
  struct Options {
    Control control;
    uint64_t seed = 1;
    std::string split;                    // Another split draws other numbers.
    int32_t end_of_text = 2;              // Ends each response; never moves by itself.
    bool chat = false;                    // Only tokens with kResponse move.
    std::vector<uint8_t> sentence_marks;  // Of each token of the vocabulary, for kSentences: see sentences.h.
    int64_t block_tokens = 250000;        // A block is at least this long, and the last takes what is left.
  };
  // Called with each document in order. The spans are valid during the call.
  using Sink =
      std::function<absl::Status(absl::Span<const int32_t> tokens, absl::Span<const uint8_t> labels)>;

  ControlledSplit(Options options, Sink sink);

  // `labels` as long as `tokens`, or empty: no token has any.
  absl::Status Add(absl::Span<const int32_t> tokens, absl::Span<const uint8_t> labels);
  // Hands the rest to the sink.
  absl::StatusOr<ControlSurvival> Finish();

 private:
  // Tokens [begin, end) of a document, without the token that ends them.
  struct Response {
    size_t begin = 0;
    size_t end = 0;
  };
  struct Document {
    std::vector<LabelledToken> tokens;
    std::vector<Response> responses;
  };
  struct Block {
    std::vector<Document> documents;
    int64_t moving = 0;  // Tokens of responses, and one for the end of each.
  };
  std::vector<Response> FindResponses(absl::Span<const LabelledToken> document) const;
  absl::Status Flush(const Block& block);
  absl::StatusOr<std::vector<LabelledToken>> Change(const std::vector<LabelledToken>& text);
  void ChangeResponse(absl::Span<LabelledToken> response);
  absl::Status Emit(const Block& block, absl::Span<const LabelledToken> changed);

  const Options options_;
  const Sink sink_;
  Random random_;
  Block waiting_;  // A full block, until it is known not to be the last but one.
  Block block_;
  ControlSurvival survival_;
};

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_CONTROL_H_
