// What selective training chooses from data alone: budgets, random draws, spans of the rules
// (docs/methods.md).
//
// A group is what a budget is a share of: the targets of one sequence, or of a micro-batch laid end to end.
// All spans of an argument have one element for each position of the group. Pure functions, thread-safe.
#ifndef CHERRY_WORKER_METHODS_SGT_SELECTION_H_
#define CHERRY_WORKER_METHODS_SGT_SELECTION_H_

#include <cstdint>

#include "absl/types/span.h"

namespace cherry::trainer {

// How many targets of a group are supervised: `scored` by the selector, then `drawn` at random from the rest.
struct GroupBudget {
  int64_t scored = 0;
  int64_t drawn = 0;
};

// K = max(1, round(budget * targets)), and of it round(random_share * K) drawn; nothing without targets.
GroupBudget BudgetOf(int64_t targets, double budget, double random_share);

// What a target of the global sample `sample` is drawn by: a hash, so that a resumed run and any number of
// ranks draw the same.
uint64_t DrawKey(uint64_t seed, int64_t sample, int64_t position);

// Marks in `mask` the `count` counted and yet unmarked positions with the smallest keys, of equal ones the
// first; all, when there are fewer. Returns how many.
int64_t Draw(absl::Span<const uint64_t> keys, absl::Span<const uint8_t> counted, int64_t count,
             absl::Span<uint8_t> mask);

// Marks whole spans of the categories whose bit (1 << Category) is in `categories`: corrections before
// reasons before facts, each in their order, a span that no longer fits into `most` is left out. A span is
// the run of counted positions of one category from a span's start (common/token_labels.h); where the group
// cuts it off, what is left. Returns how many positions it marked.
int64_t SelectSpans(absl::Span<const uint8_t> labels, absl::Span<const uint8_t> counted, int categories,
                    int64_t most, absl::Span<uint8_t> mask);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_METHODS_SGT_SELECTION_H_
