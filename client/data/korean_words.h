// Words in Hangul and their stems. Thread-safe.
#ifndef CHERRY_CLIENT_DATA_KOREAN_WORDS_H_
#define CHERRY_CLIENT_DATA_KOREAN_WORDS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/data/rule_set.h"

namespace cherry::client {

inline constexpr size_t kSyllableBytes = 3;

struct KoreanWord {
  size_t begin = 0;  // In the text.
  size_t end = 0;
  size_t stem_end = 0;  // Without its particle.
};

// Runs of Hangul syllables that do not follow a letter or digit: what follows one is its particle or counter.
std::vector<KoreanWord> KoreanWords(absl::string_view text, const RuleFile& rules);

// Bytes of a word that are left without its longest particle, which is taken off where two syllables stay.
size_t StemBytes(absl::string_view word, const RuleFile& rules);

// The stems that may be rare: of two syllables or more.
std::vector<uint64_t> CountedStems(absl::string_view text, const RuleFile& rules);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_KOREAN_WORDS_H_
