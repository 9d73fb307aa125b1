// Numbers for the n-grams of a text, and how many of one text's n-grams another has.
//
// Exact: an n-gram is told by the number of its first n - 1 tokens and its last token, never by a hash alone.
// Functions are thread-safe.
#ifndef CHERRY_CLIENT_DATA_GRAMS_H_
#define CHERRY_CLIENT_DATA_GRAMS_H_

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"

namespace cherry::client {

// A token and its byte of SPLIT.labels.
struct LabelledToken {
  int32_t token = 0;
  uint8_t label = 0;
  friend bool operator==(const LabelledToken&, const LabelledToken&) = default;
};

inline constexpr int32_t kUnknownGram = -1;

// The n-grams of one length: their number for each (number of the first n - 1 tokens, last token).
using GramTable = absl::flat_hash_map<uint64_t, int32_t>;

// The number of the empty gram, at each of the text's size + 1 places: where Lengthen starts.
std::vector<int32_t> EmptyGrams(absl::Span<const LabelledToken> text);

// `grams` holds the number of the n-gram at each place of `text` and then of the (n + 1)-gram, one place
// less. Numbers count from 0 in the order of first occurrence. Without `learn`, what `table` does not hold is
// kUnknownGram, and so is all that starts with it.
void Lengthen(absl::Span<const LabelledToken> text, bool learn, GramTable* table,
              std::vector<int32_t>* grams);

// How many places of a text hold an n-gram that another text has somewhere.
struct GramSurvival {
  int n = 0;
  int64_t places = 0;
  int64_t surviving = 0;
  // 0 where the text is too short to hold any.
  double Share() const {
    return places == 0 ? 0 : static_cast<double>(surviving) / static_cast<double>(places);
  }
};

// Adds to each of `survival` (its `n` set, in ascending order) the places of `changed`, and those whose
// n-gram occurs in `original`.
void CountSurvival(absl::Span<const LabelledToken> original, absl::Span<const LabelledToken> changed,
                   absl::Span<GramSurvival> survival);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_GRAMS_H_
