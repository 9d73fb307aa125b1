// Shuffling that keeps every k-gram: Altschul and Erickson (Mol Biol Evol 2:526, 1985), with Wilson's
// algorithm (STOC 1996) for the spanning tree as in uShuffle (BMC Bioinformatics 9:192).
#ifndef CHERRY_CLIENT_DATA_K_LET_H_
#define CHERRY_CLIENT_DATA_K_LET_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/data/grams.h"
#include "client/data/random.h"

namespace cherry::client {

// A text drawn uniformly from all that hold each k-gram as often as `text` and start with the same k - 1
// tokens; they then end with the same k - 1, too. Labels travel with their tokens. A text of less than k
// tokens is its only one.
//
// The text is a walk through a graph: its (k-1)-grams are the vertices, and each k-gram's occurrence is an
// edge that carries its last token. Another walk that takes every edge once, drawn uniformly, is the result.
// Memory: about 40 bytes a token. At most 2^31 - 2 tokens (kOutOfRange). REQUIRES: k >= 2.
absl::StatusOr<std::vector<LabelledToken>> ShuffleKeepingGrams(absl::Span<const LabelledToken> text, int k,
                                                               Random* random);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_K_LET_H_
