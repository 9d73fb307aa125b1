#include "coordinator/api/log_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/file.h"
#include "common/status.h"

namespace cherry::coordinator {
namespace {

// Size of a file; 0 when it is not there.
absl::StatusOr<int64_t> SizeOf(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) == 0) {
    return info.st_size;
  }
  if (errno == ENOENT) {
    return 0;
  }
  return ErrnoError(errno, path);
}

absl::Status AppendToFile(const std::string& path, absl::string_view data) {
  const int fd = open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) {
    return ErrnoError(errno, path);
  }
  absl::Status status = absl::OkStatus();
  while (!data.empty() && status.ok()) {
    const ssize_t written = write(fd, data.data(), data.size());
    if (written > 0) {
      data.remove_prefix(written);
    } else if (errno != EINTR) {
      status = ErrnoError(errno, path);
    }
  }
  close(fd);
  return status;
}

absl::StatusOr<std::string> ReadRange(const std::string& path, int64_t offset, int64_t size) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return ErrnoError(errno, path);
  }
  std::string data(size, '\0');
  const ssize_t got = pread(fd, data.data(), size, offset);
  const int error = errno;
  close(fd);
  if (got < 0) {
    return ErrnoError(error, path);
  }
  data.resize(got);
  return data;
}

}  // namespace

absl::StatusOr<LogStore::Layout> LogStore::Find(const LogName& name) const {
  const std::string directory = absl::StrCat(directory_, "/", name.ns, "/", name.uid, "/epoch-", name.epoch);
  const std::string file = absl::StrCat("rank-", name.rank, ".log");
  Layout layout;
  layout.current = absl::StrCat(directory, "/", file);
  if (!Exists(directory)) {
    return layout;
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(directory));
  for (const std::string& entry : names) {
    absl::string_view number = entry;
    int64_t begin = 0;
    if (absl::ConsumePrefix(&number, file + ".") && absl::SimpleAtoi(number, &begin) &&
        (layout.older.empty() || begin > layout.older_begin)) {
      layout.older = absl::StrCat(directory, "/", entry);
      layout.older_begin = begin;
    }
  }
  if (!layout.older.empty()) {
    ASSIGN_OR_RETURN(const int64_t older_bytes, SizeOf(layout.older));
    layout.current_begin = layout.older_begin + older_bytes;
  }
  ASSIGN_OR_RETURN(const int64_t current_bytes, SizeOf(layout.current));
  layout.end = layout.current_begin + current_bytes;
  return layout;
}

absl::StatusOr<int64_t> LogStore::Append(const LogName& name, int64_t offset, absl::string_view data) {
  ASSIGN_OR_RETURN(const Layout layout, Find(name));
  if (offset < 0 || offset > layout.end || offset + static_cast<int64_t>(data.size()) <= layout.end) {
    return layout.end;
  }
  data.remove_prefix(layout.end - offset);
  if (layout.end == 0) {
    RETURN_IF_ERROR(MakeDirectories(layout.current.substr(0, layout.current.rfind('/'))));
  }
  if (layout.end - layout.current_begin >= half_) {
    // Renamed before the older one goes: a crash between them leaves more, never less.
    const std::string rotated = absl::StrCat(layout.current, ".", layout.current_begin);
    if (std::rename(layout.current.c_str(), rotated.c_str()) != 0) {
      return ErrnoError(errno, layout.current);
    }
    if (!layout.older.empty() && unlink(layout.older.c_str()) != 0) {
      return ErrnoError(errno, layout.older);
    }
  }
  RETURN_IF_ERROR(AppendToFile(layout.current, data));
  return layout.end + static_cast<int64_t>(data.size());
}

absl::StatusOr<int64_t> LogStore::End(const LogName& name) const {
  ASSIGN_OR_RETURN(const Layout layout, Find(name));
  return layout.end;
}

absl::StatusOr<LogPiece> LogStore::Read(const LogName& name, int64_t offset, int64_t limit) const {
  ASSIGN_OR_RETURN(const Layout layout, Find(name));
  const int64_t first = layout.older.empty() ? layout.current_begin : layout.older_begin;
  LogPiece piece;
  piece.offset = std::max(offset, first);
  if (piece.offset >= layout.end) {
    return piece;
  }
  const bool in_older = piece.offset < layout.current_begin;
  const int64_t begin = in_older ? layout.older_begin : layout.current_begin;
  ASSIGN_OR_RETURN(piece.data, ReadRange(in_older ? layout.older : layout.current, piece.offset - begin,
                                         std::min(limit, layout.end - piece.offset)));
  return piece;
}

absl::StatusOr<int64_t> LogStore::TailOffset(const LogName& name, int64_t lines) const {
  constexpr int64_t kBlock = 64 << 10;
  ASSIGN_OR_RETURN(const Layout layout, Find(name));
  const int64_t first = layout.older.empty() ? layout.current_begin : layout.older_begin;
  int64_t end = layout.end;
  int64_t found = -1;  // The newline that ends the last line does not begin one.
  while (end > first) {
    // A block lies in one of the files.
    const int64_t floor = end > layout.current_begin ? layout.current_begin : first;
    const int64_t begin = std::max(floor, end - kBlock);
    ASSIGN_OR_RETURN(const LogPiece piece, Read(name, begin, end - begin));
    for (int64_t i = static_cast<int64_t>(piece.data.size()) - 1; i >= 0; --i) {
      const bool last = begin + i == layout.end - 1;
      if ((piece.data[i] == '\n' || last) && ++found == lines) {
        return begin + i + 1;
      }
    }
    end = begin;
  }
  return first;
}

}  // namespace cherry::coordinator
