// Where sentences begin in tokens.
//
// A sentence ends at a '.', '!' or '?' before white space or the end of the text, at a '。', and at the end
// of a line; closing quotes and brackets right behind the mark, and the white space after it, are still its
// own. Decided on the text of each token, so that sentences move without being encoded anew: the tokens stay
// the same ones, and so do their labels. An end inside a token is none. Functions are thread-safe.
#ifndef CHERRY_CLIENT_DATA_SENTENCES_H_
#define CHERRY_CLIENT_DATA_SENTENCES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "client/data/grams.h"

namespace cherry::client {

// What the text of one token says about the sentence around it; its bits are the implementation's.
uint8_t SentenceMarks(absl::string_view token_text);

// The first token of each sentence, in order; the first is 0. `marks` holds SentenceMarks of each token of
// the vocabulary; a token outside of it says nothing.
std::vector<size_t> SentenceStarts(absl::Span<const LabelledToken> text, absl::Span<const uint8_t> marks);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_SENTENCES_H_
