#include "client/data/corpus.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <numeric>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace cherry::client {
namespace {

constexpr size_t kBufferBytes = 1 << 20;
// Changing it changes every split; it stands in the manifest's format number.
constexpr uint64_t kSplitSalt = 0x6368657272790001ull;

uint64_t LineHash(absl::string_view line) {
  line = absl::StripAsciiWhitespace(line);
  return XXH3_64bits(line.data(), line.size());
}

bool IsBlank(absl::string_view text) { return absl::StripAsciiWhitespace(text).empty(); }

}  // namespace

Corpus::Corpus(int fd, std::string path, int line_characters)
    : fd_(fd), path_(std::move(path)), line_characters_(line_characters) {}

Corpus::~Corpus() {
  if (map_ != nullptr) {
    munmap(const_cast<char*>(map_), static_cast<size_t>(spooled_));
  }
  close(fd_);
  unlink(path_.c_str());
}

absl::StatusOr<std::unique_ptr<Corpus>> Corpus::Create(const std::string& spool_path, int line_characters) {
  const int fd = open(spool_path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) {
    return ErrnoError(errno, spool_path);
  }
  return std::unique_ptr<Corpus>(new Corpus(fd, spool_path, line_characters));
}

bool Corpus::IsLong(absl::string_view line) const {
  if (line_characters_ == 0) {
    return false;
  }
  line = absl::StripAsciiWhitespace(line);
  if (line.size() < static_cast<size_t>(line_characters_)) {
    return false;
  }
  const auto characters = std::count_if(
      line.begin(), line.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
  return characters >= line_characters_;
}

template <typename Visit>
void Corpus::VisitLines(const Entry& entry, Visit visit) const {
  const absl::string_view text = Raw(entry);
  for (size_t begin = 0; begin < text.size();) {
    const size_t newline = text.find('\n', begin);
    const size_t end = newline == absl::string_view::npos ? text.size() : newline + 1;
    const absl::string_view line = text.substr(begin, end - begin);
    bool keep = true;
    if (IsLong(line)) {
      const auto owner = owners_.find(LineHash(line));
      keep = owner == owners_.end() || owner->second == entry.number;
    }
    visit(line, keep);
    begin = end;
  }
}

absl::Status Corpus::Add(absl::string_view document) {
  ++counts_.documents_read;
  if (IsBlank(document)) {
    ++counts_.empty_documents;
    return absl::OkStatus();
  }
  const XXH128_hash_t xxh = XXH3_128bits(document.data(), document.size());
  Entry entry;
  entry.hash = {xxh.high64, xxh.low64};
  if (!seen_.insert(entry.hash).second) {
    ++counts_.repeated_documents;
    return absl::OkStatus();
  }
  if (entries_.size() >= std::numeric_limits<uint32_t>::max()) {
    return absl::OutOfRangeError("more than 4 billion documents: prepare them as several datasets");
  }
  entry.number = static_cast<uint32_t>(entries_.size());
  entry.begin = spooled_ + static_cast<int64_t>(buffer_.size());
  entry.bytes = static_cast<int64_t>(document.size());
  entries_.push_back(entry);
  for (size_t begin = 0; begin < document.size();) {
    const size_t end = std::min(document.find('\n', begin), document.size());
    const absl::string_view line = document.substr(begin, end - begin);
    if (IsLong(line)) {
      const auto [owner, fresh] = owners_.try_emplace(LineHash(line), entry.number);
      if (!fresh && entry.hash < entries_[owner->second].hash) {
        owner->second = entry.number;
      }
    }
    begin = end + 1;
  }
  buffer_.append(document.data(), document.size());
  return buffer_.size() >= kBufferBytes ? Flush() : absl::OkStatus();
}

absl::Status Corpus::Flush() {
  for (size_t done = 0; done < buffer_.size();) {
    const ssize_t wrote = write(fd_, buffer_.data() + done, buffer_.size() - done);
    if (wrote < 0 && errno != EINTR) {
      return ErrnoError(errno, path_);
    }
    done += wrote < 0 ? 0 : static_cast<size_t>(wrote);
  }
  spooled_ += static_cast<int64_t>(buffer_.size());
  buffer_.clear();
  return absl::OkStatus();
}

absl::Status Corpus::Seal(const std::function<void(int64_t)>& progress) {
  RETURN_IF_ERROR(Flush());
  buffer_.shrink_to_fit();
  seen_ = {};
  if (spooled_ == 0) {
    return absl::OkStatus();
  }
  void* map = mmap(nullptr, static_cast<size_t>(spooled_), PROT_READ, MAP_SHARED, fd_, 0);
  if (map == MAP_FAILED) {
    return ErrnoError(errno, path_);
  }
  map_ = static_cast<const char*>(map);
  std::vector<Entry> kept;
  kept.reserve(entries_.size());
  for (Entry& entry : entries_) {
    bool blank = true;
    VisitLines(entry, [&](absl::string_view line, bool keep) {
      if (keep) {
        entry.clean_bytes += static_cast<int64_t>(line.size());
        blank = blank && IsBlank(line);
      } else {
        ++counts_.repeated_lines;
        counts_.repeated_line_bytes += static_cast<int64_t>(line.size());
      }
    });
    if (blank) {
      ++counts_.empty_documents;
    } else {
      kept.push_back(entry);
    }
    progress(entry.begin + entry.bytes);
  }
  entries_ = std::move(kept);
  return absl::OkStatus();
}

std::string Corpus::Text(int64_t document) const {
  const Entry& entry = entries_[static_cast<size_t>(document)];
  std::string text;
  text.reserve(static_cast<size_t>(entry.clean_bytes));
  VisitLines(entry, [&text](absl::string_view line, bool keep) {
    if (keep) {
      text.append(line.data(), line.size());
    }
  });
  return text;
}

std::vector<bool> ChooseValid(const std::vector<std::pair<ContentHash, int64_t>>& documents, double share) {
  std::vector<std::pair<uint64_t, size_t>> order;
  order.reserve(documents.size());
  int64_t total = 0;
  for (size_t i = 0; i < documents.size(); ++i) {
    const uint64_t words[2] = {documents[i].first.first, documents[i].first.second};
    order.emplace_back(XXH3_64bits_withSeed(words, sizeof(words), kSplitSalt), i);
    total += documents[i].second;
  }
  std::sort(order.begin(), order.end());
  const double target = share * static_cast<double>(total);
  std::vector<bool> valid(documents.size(), false);
  double taken = 0;
  size_t count = 0;
  for (const auto& [key, index] : order) {
    const auto bytes = static_cast<double>(documents[index].second);
    if (taken + bytes / 2 <= target && count + 1 < documents.size()) {
      valid[index] = true;
      taken += bytes;
      ++count;
    }
  }
  if (count == 0) {
    const auto smallest = std::min_element(order.begin(), order.end(), [&](const auto& a, const auto& b) {
      return documents[a.second].second < documents[b.second].second;
    });
    valid[smallest->second] = true;
  }
  return valid;
}

}  // namespace cherry::client
