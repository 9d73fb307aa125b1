// SPLIT.labels: what selective training knows of each token. One byte for each token of SPLIT.bin, in its
// order, and nothing else; its hash stands in the dataset's manifest.
//
// Bits 0 and 1 are the category of the rules; bit 2 marks the first token of a span, which is supervised
// whole or not at all; bit 3 marks what an assistant says in chat data: the only targets under `data.targets:
// responses`.
#ifndef CHERRY_COMMON_TOKEN_LABELS_H_
#define CHERRY_COMMON_TOKEN_LABELS_H_

#include <cstdint>

namespace cherry {

inline constexpr char kLabelsSuffix[] = ".labels";

// In the order of their priority when they do not fit into a budget together.
enum class Category : uint8_t { kNone = 0, kFact = 1, kReason = 2, kCorrect = 3 };

inline constexpr uint8_t kCategoryBits = 3;
inline constexpr uint8_t kSpanStart = 4;
inline constexpr uint8_t kResponse = 8;

inline Category CategoryOf(uint8_t label) { return static_cast<Category>(label & kCategoryBits); }

}  // namespace cherry

#endif  // CHERRY_COMMON_TOKEN_LABELS_H_
