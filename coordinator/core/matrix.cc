#include "coordinator/core/matrix.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/ids.h"
#include "common/matrix_value.h"
#include "common/status.h"
#include "coordinator/core/spec_path.h"

namespace cherry::coordinator {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

// Before `exclude`: more would only be built to be thrown away.
constexpr int64_t kMostCombinations = 4096;

struct Combination {
  MatrixValues named;  // Of its axes.
  MatrixValues extra;  // From an `include` that extended it.
};

absl::Status MatrixError(absl::string_view field, absl::string_view what, absl::string_view remedy) {
  return InvalidField("MATRIX_INVALID", field, absl::StrCat(field, ": ", what), remedy);
}

absl::Status TooManyJobs(int64_t count) {
  return MatrixError("matrix", absl::StrCat(count, " combinations are more than ", kMostMatrixJobs),
                     "give fewer values, or several documents");
}

absl::StatusOr<std::vector<Combination>> Product(const v1::Matrix& matrix) {
  if (matrix.axes().empty()) {
    return std::vector<Combination>();
  }
  const std::map<std::string, google::protobuf::ListValue> axes(matrix.axes().begin(), matrix.axes().end());
  int64_t count = 1;
  for (const auto& [path, values] : axes) {
    if (values.values().empty()) {
      return MatrixError(absl::StrCat("matrix.", path), "has no values", "give a list, e.g. [1, 2, 3]");
    }
    count *= values.values_size();
    if (count > kMostCombinations) {
      return TooManyJobs(count);
    }
  }
  std::vector<Combination> combinations(1);
  for (const auto& [path, values] : axes) {
    std::vector<Combination> longer;
    for (const Combination& combination : combinations) {
      for (const Value& value : values.values()) {
        longer.push_back(combination);
        longer.back().named[path] = value;
      }
    }
    combinations = std::move(longer);
  }
  return combinations;
}

// Whether all values that `entry` gives for axes are the combination's; other paths do not count.
bool Matches(const Struct& entry, const Combination& combination) {
  return std::all_of(entry.fields().begin(), entry.fields().end(), [&combination](const auto& field) {
    const auto own = combination.named.find(field.first);
    return own == combination.named.end() || SameValue(own->second, field.second);
  });
}

absl::Status Exclude(const v1::Matrix& matrix, std::vector<Combination>* combinations) {
  for (const Struct& entry : matrix.exclude()) {
    if (entry.fields().empty()) {
      return MatrixError("matrix.exclude", "an entry is empty", "give values, e.g. [{train.seed: 1}]");
    }
    for (const auto& [path, value] : entry.fields()) {
      if (matrix.axes().count(path) == 0) {
        return MatrixError("matrix.exclude", absl::StrCat("'", path.substr(0, 100), "' is no axis"),
                           "exclude by the values of axes");
      }
    }
    combinations->erase(
        std::remove_if(combinations->begin(), combinations->end(),
                       [&entry](const Combination& combination) { return Matches(entry, combination); }),
        combinations->end());
  }
  return absl::OkStatus();
}

absl::Status Include(const v1::Matrix& matrix, std::vector<Combination>* combinations) {
  const size_t of_axes = combinations->size();  // What an entry has added is not extended by the next.
  for (const Struct& entry : matrix.include()) {
    if (entry.fields().empty()) {
      return MatrixError("matrix.include", "an entry is empty", "give values, e.g. [{train.seed: 4}]");
    }
    bool extended = false;
    for (size_t i = 0; i < of_axes; ++i) {
      Combination& combination = (*combinations)[i];
      if (!Matches(entry, combination)) {
        continue;
      }
      extended = true;
      for (const auto& [path, value] : entry.fields()) {
        if (combination.named.count(path) == 0) {
          combination.extra[path] = value;
        }
      }
    }
    if (!extended) {
      Combination& added = combinations->emplace_back();
      added.named.insert(entry.fields().begin(), entry.fields().end());
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<MatrixJob> MakeJob(const v1::JobSpec& spec, const std::string& name,
                                  const Combination& combination) {
  MatrixJob job{spec, combination.named};
  job.values.insert(combination.extra.begin(), combination.extra.end());
  job.spec.clear_matrix();
  job.spec.clear_generate_name();
  for (const auto& [path, value] : job.values) {
    RETURN_IF_ERROR(SetPath(path, value, &job.spec));
  }
  job.spec.set_name(MatrixJobName(name, combination.named));
  if (!ValidateName(job.spec.name(), "matrix").ok()) {
    return MatrixError("matrix",
                       absl::StrCat("'", job.spec.name().substr(0, 120), "' is not a valid name of a job"),
                       "use a shorter name for the document, or other values");
  }
  return job;
}

}  // namespace

std::set<std::string> AxesOf(const v1::Matrix& matrix) {
  std::set<std::string> axes;
  for (const auto& [path, values] : matrix.axes()) {
    axes.insert(path);
  }
  for (const Struct& entry : matrix.include()) {
    for (const auto& [path, value] : entry.fields()) {
      if (matrix.axes().empty()) {
        axes.insert(path);
      }
    }
  }
  return axes;
}

std::string MatrixJobName(const std::string& name, const MatrixValues& values) {
  std::string made = name;
  for (const auto& [path, value] : values) {
    made.push_back('-');
    for (const char c : absl::AsciiStrToLower(ValueText(value))) {
      made.push_back(absl::ascii_islower(c) || absl::ascii_isdigit(c) ? c : '-');
    }
  }
  return made;
}

bool SameValue(const Value& a, const Value& b) {
  return a.kind_case() == b.kind_case() && ValueText(a) == ValueText(b);
}

absl::StatusOr<std::vector<MatrixJob>> ExpandMatrix(const v1::JobSpec& spec, const std::string& name) {
  const v1::Matrix& matrix = spec.matrix();
  if (matrix.max_parallel() < 0) {
    return MatrixError("matrix.max_parallel", absl::StrCat(matrix.max_parallel(), " is negative"),
                       "give how many may run at a time, or 0 for all");
  }
  ASSIGN_OR_RETURN(std::vector<Combination> combinations, Product(matrix));
  RETURN_IF_ERROR(Exclude(matrix, &combinations));
  RETURN_IF_ERROR(Include(matrix, &combinations));
  if (combinations.empty()) {
    return MatrixError("matrix", "has no combinations", "give values, or exclude fewer of them");
  }
  if (combinations.size() > kMostMatrixJobs) {
    return TooManyJobs(static_cast<int64_t>(combinations.size()));
  }
  std::vector<MatrixJob> jobs;
  std::map<std::string, MatrixValues> names;
  for (const Combination& combination : combinations) {
    ASSIGN_OR_RETURN(MatrixJob job, MakeJob(spec, name, combination));
    if (!names.emplace(job.spec.name(), combination.named).second) {
      return MatrixError("matrix", absl::StrCat("two combinations are both named '", job.spec.name(), "'"),
                         "give values that differ in letters and digits");
    }
    jobs.push_back(std::move(job));
  }
  return jobs;
}

}  // namespace cherry::coordinator
