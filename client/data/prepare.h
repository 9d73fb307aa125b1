// Makes a dataset of texts or conversations: reads, removes repetitions, splits, trains or loads the
// tokenizer, encodes, labels, publishes.
//
// The same input and options give the same bytes, on any number of threads. Nothing appears under the
// dataset's name before all of it is on disk. Memory: that of Corpus, of the tokenizer's training, and one
// batch of documents; the text takes its own size on disk beside the dataset while this runs.
#ifndef CHERRY_CLIENT_DATA_PREPARE_H_
#define CHERRY_CLIENT_DATA_PREPARE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/data/dataset_manifest.h"
#include "client/data/progress.h"
#include "client/data/text_source.h"

namespace cherry::client {

struct PrepareOptions {
  std::string name;
  std::string data_root;  // Must exist.
  std::vector<std::string> inputs;
  // One of both: the size of the vocabulary to train, or a tokenizer.json (or its directory, or a dataset's
  // name).
  int vocab = 0;
  std::string tokenizer;
  double valid_share = 0.02;  // Of the text, in (0, 0.5].
  int line_characters = 20;   // See Corpus; 0 keeps repeated lines. Conversations keep theirs.
  TextOptions text;
  // Languages whose rules label the tokens, as ParseLanguages gives them; none: only responses are labelled.
  std::vector<std::string> rules = {"ko", "en"};
  std::string control;       // See ParseControl; every split is changed.
  int64_t control_seed = 1;  // Not negative.
  int threads = 0;           // 0: every CPU this process may use.
  bool force = false;
};

// Names the option that is wrong by itself. Thread-safe.
absl::Status CheckPrepareOptions(const PrepareOptions& options);

// The manifest as it was published. Not thread-safe for one name.
absl::StatusOr<DatasetManifest> PrepareDataset(const PrepareOptions& options, Progress* progress);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_PREPARE_H_
