#include "client/data/progress.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"

namespace cherry::client {
namespace {

constexpr int kBarWidth = 30;
constexpr char kClearLine[] = "\r\x1b[K";

std::string Repeat(const char* text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) {
    out += text;
  }
  return out;
}

}  // namespace

void Progress::Begin(absl::string_view phase, int64_t total) {
  phase_ = std::string(phase);
  total_ = total;
  start_ = absl::Now();
  drawn_ = absl::InfinitePast();
  Update(0);
}

void Progress::Update(int64_t done) {
  const absl::Time now = absl::Now();
  if (out_ == nullptr || !terminal_ || now - drawn_ < absl::Milliseconds(100)) {
    return;
  }
  drawn_ = now;
  std::string line = absl::StrFormat("%s%-10s ", kClearLine, phase_);
  if (total_ > 0) {
    const double share = std::clamp(static_cast<double>(done) / static_cast<double>(total_), 0.0, 1.0);
    const int full = static_cast<int>(share * kBarWidth);
    absl::StrAppend(&line, Repeat("█", full), Repeat("░", kBarWidth - full),
                    absl::StrFormat(" %3.0f%%", share * 100));
    const double seconds = absl::ToDoubleSeconds(now - start_);
    if (share > 0.01 && seconds > 1) {
      const auto left = static_cast<int64_t>(seconds * (1 - share) / share);
      absl::StrAppend(&line, absl::StrFormat("  eta %d:%02d", left / 60, left % 60));
    }
  } else {
    absl::StrAppend(&line, done > 0 ? HumanBytes(done) : "...");
  }
  *out_ << line << std::flush;
}

void Progress::End(absl::string_view summary) {
  if (out_ == nullptr) {
    return;
  }
  *out_ << (terminal_ ? kClearLine : "")
        << absl::StrFormat("%-10s %-58s %6.1f s\n", phase_, summary,
                           absl::ToDoubleSeconds(absl::Now() - start_))
        << std::flush;
}

std::string Grouped(int64_t value) {
  std::string text = absl::StrCat(value);
  const int first = value < 0 ? 1 : 0;
  for (int at = static_cast<int>(text.size()) - 3; at > first; at -= 3) {
    text.insert(static_cast<size_t>(at), 1, ',');
  }
  return text;
}

std::string HumanBytes(int64_t bytes) {
  if (bytes < 1000) {
    return absl::StrCat(bytes, " B");
  }
  double value = static_cast<double>(bytes);
  const char* unit = "B";
  for (const char* larger : {"kB", "MB", "GB", "TB"}) {
    if (value < 999.5) {
      break;
    }
    value /= 1000;
    unit = larger;
  }
  return absl::StrFormat("%.1f %s", value, unit);
}

}  // namespace cherry::client
