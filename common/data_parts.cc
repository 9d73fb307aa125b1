#include "common/data_parts.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/ids.h"
#include "common/status.h"

namespace cherry {
namespace {

constexpr int64_t kMostShares = 10000;

struct Part {
  std::string share;  // As it is written; empty where there is none.
  std::string name;
};

// A name begins with a letter, so that what does not is a number.
std::vector<Part> Parse(absl::string_view text) {
  std::vector<Part> parts;
  for (absl::string_view part : absl::StrSplit(text, '+')) {
    part = absl::StripAsciiWhitespace(part);
    const size_t space = part.find_first_of(" \t\n");
    if (space == absl::string_view::npos || absl::ascii_isalpha(static_cast<unsigned char>(part[0]))) {
      parts.push_back({"", std::string(part)});
    } else {
      parts.push_back(
          {std::string(part.substr(0, space)), std::string(absl::StripAsciiWhitespace(part.substr(space)))});
    }
  }
  return parts;
}

// In millionths.
absl::StatusOr<int64_t> ParseShare(const std::string& share, absl::string_view field) {
  constexpr double kMillion = 1e6;
  double value = 0.0;
  const bool number = absl::SimpleAtod(share, &value);
  const double millionths = std::round(value * kMillion);
  if (number && value > 0.0 && value <= kMillion && std::abs(millionths - value * kMillion) < 1e-3) {
    return static_cast<int64_t>(millionths);
  }
  return InvalidField("OUT_OF_RANGE", field,
                      absl::StrCat(field, ": the share '", share,
                                   "' is not a number above 0 and up to 1000000 with at most six decimals"),
                      "write it as 0.7 ko/train + 0.3 en/train");
}

// Of `total` turns each of `shares`' proportion, at least one; those with the largest remainders get the
// rest.
std::vector<int64_t> Scale(const std::vector<int64_t>& shares, int64_t total) {
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  std::vector<int64_t> scaled;
  std::vector<std::pair<double, size_t>> rest;
  for (size_t i = 0; i < shares.size(); ++i) {
    const double exact = static_cast<double>(shares[i]) / sum * static_cast<double>(total);
    scaled.push_back(std::max<int64_t>(1, static_cast<int64_t>(exact)));
    rest.emplace_back(static_cast<double>(scaled[i]) - exact, i);
  }
  std::sort(rest.begin(), rest.end());
  int64_t left = total - std::accumulate(scaled.begin(), scaled.end(), int64_t{0});
  for (size_t i = 0; left > 0; i = (i + 1) % rest.size(), --left) {
    ++scaled[rest[i].second];
  }
  return scaled;
}

}  // namespace

absl::StatusOr<SplitRef> ParseSplitRef(absl::string_view text, absl::string_view field) {
  const std::vector<std::string> parts = absl::StrSplit(text, '/');
  if (parts.size() == 2 && ValidateName(parts[0], field).ok() && ValidateName(parts[1], field).ok()) {
    return SplitRef{parts[0], parts[1]};
  }
  return InvalidField("DATASET_INVALID", field,
                      absl::StrCat(field, ": '", text.substr(0, 200), "' is not DATASET/SPLIT"),
                      "write it as ko/train");
}

std::vector<std::string> SplitParts(absl::string_view text) {
  std::vector<std::string> names;
  for (Part& part : Parse(text)) {
    names.push_back(std::move(part.name));
  }
  return names;
}

bool HasShares(absl::string_view text) {
  const std::vector<Part> parts = Parse(text);
  return std::any_of(parts.begin(), parts.end(), [](const Part& part) { return !part.share.empty(); });
}

absl::StatusOr<std::vector<int64_t>> PartShares(absl::string_view text, absl::string_view field) {
  std::vector<int64_t> shares;
  for (const Part& part : Parse(text)) {
    ASSIGN_OR_RETURN(const int64_t share, ParseShare(part.share.empty() ? "1" : part.share, field));
    shares.push_back(share);
  }
  int64_t divisor = 0;
  for (const int64_t share : shares) {
    divisor = std::gcd(divisor, share);
  }
  for (int64_t& share : shares) {
    share /= divisor;
  }
  return std::accumulate(shares.begin(), shares.end(), int64_t{0}) <= kMostShares
             ? shares
             : Scale(shares, kMostShares);
}

std::string DatasetOfPart(absl::string_view part) { return std::string(part.substr(0, part.find('/'))); }

}  // namespace cherry
