// Finds facts, reasons and corrections in a text, by the rules of its languages.
//
// Pure: the same text and rules give the same spans. Thread-safe.
#ifndef CHERRY_CLIENT_DATA_ANNOTATOR_H_
#define CHERRY_CLIENT_DATA_ANNOTATOR_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/data/rare_stems.h"
#include "client/data/rule_set.h"
#include "common/token_labels.h"

namespace cherry::client {

struct TextSpan {
  size_t begin = 0;  // Bytes [begin, end).
  size_t end = 0;
  Category category = Category::kNone;
  // A correction's marker ends here and its clause begins, of which LabelTokens takes a few tokens; else
  // `end`.
  size_t marker_end = 0;
};

// A fact that is longer is a passage, not an item: it is left out.
inline constexpr size_t kMaxFactBytes = 120;

class Annotator {
 public:
  // `rules` is not owned.
  Annotator(const RuleSet* rules, RareStems rare) : rules_(*rules), rare_(std::move(rare)) {}

  const RuleSet& rules() const { return rules_; }
  const RareStems& rare() const { return rare_; }

  // In order, and disjoint within each category; spans of two categories may overlap. `text` is well-formed
  // UTF-8 in NFC.
  std::vector<TextSpan> Annotate(absl::string_view text) const;

 private:
  const RuleSet& rules_;
  RareStems rare_;
};

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_ANNOTATOR_H_
