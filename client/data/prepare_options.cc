#include "absl/strings/str_cat.h"
#include "client/data/control.h"
#include "client/data/prepare.h"
#include "common/ids.h"
#include "common/status.h"

namespace cherry::client {

absl::Status CheckPrepareOptions(const PrepareOptions& options) {
  RETURN_IF_ERROR(ValidateName(options.name, "name"));
  if ((options.vocab == 0) == options.tokenizer.empty()) {
    return InvalidField("FIELD_REQUIRED", "vocab", "give either --vocab or --tokenizer",
                        "--vocab 2048 trains a tokenizer of that size, --tokenizer takes one that exists");
  }
  if (!(options.valid_share > 0 && options.valid_share <= 0.5)) {
    return InvalidField("OUT_OF_RANGE", "valid-share",
                        absl::StrCat("valid-share: ", options.valid_share, " is not in (0, 0.5]"),
                        "give a share like 0.02");
  }
  if (options.line_characters < 0) {
    return InvalidField("OUT_OF_RANGE", "repeated-line-chars",
                        absl::StrCat("repeated-line-chars: ", options.line_characters, " is negative"),
                        "give 0 to keep repeated lines");
  }
  if (options.threads < 0 || options.threads > 1024) {
    return InvalidField("OUT_OF_RANGE", "threads",
                        absl::StrCat("threads: ", options.threads, " is not in 0..1024"),
                        "give 0 for every core");
  }
  if (options.control_seed < 0) {
    return InvalidField("OUT_OF_RANGE", "control-seed",
                        absl::StrCat("control-seed: ", options.control_seed, " is negative"),
                        "give a number from 0 on");
  }
  return ParseControl(options.control).status();
}

}  // namespace cherry::client
