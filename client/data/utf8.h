// Code points of well-formed UTF-8. Thread-safe.
#ifndef CHERRY_CLIENT_DATA_UTF8_H_
#define CHERRY_CLIENT_DATA_UTF8_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace cherry::client {

// The code point at `at`, which moves behind it. REQUIRES: well-formed text, `at` within it at a character.
inline char32_t NextCodePoint(absl::string_view text, size_t* at) {
  const auto byte = [&] { return static_cast<unsigned char>(text[(*at)++]); };
  const char32_t first = byte();
  if (first < 0x80) {
    return first;
  }
  const int tail = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
  char32_t point = first & (0x3Fu >> tail);
  for (int i = 0; i < tail; ++i) {
    point = point << 6 | (byte() & 0x3Fu);
  }
  return point;
}

inline bool IsHangul(char32_t c) { return c >= 0xAC00 && c <= 0xD7A3; }

inline bool IsLatin(char32_t c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
         (c >= 0xC0 && c <= 0x24F && c != 0xD7 && c != 0xF7);
}

// Whether it is a letter of another script, near enough to count letters with.
inline bool IsOtherLetter(char32_t c) {
  return (c >= 0x370 && c <= 0x1FFF) || (c >= 0x3041 && c <= 0x30FF) || (c >= 0x3131 && c <= 0x318E) ||
         (c >= 0x3400 && c <= 0x9FFF) || (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x20000 && c <= 0x3FFFF);
}

struct LetterCounts {
  int64_t hangul = 0;
  int64_t latin = 0;
  int64_t other = 0;

  int64_t all() const { return hangul + latin + other; }
  void Add(const LetterCounts& more) {
    hangul += more.hangul;
    latin += more.latin;
    other += more.other;
  }
};

inline LetterCounts CountLetters(absl::string_view text) {
  LetterCounts counts;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = NextCodePoint(text, &at);
    counts.latin += IsLatin(c) ? 1 : 0;
    counts.hangul += IsHangul(c) ? 1 : 0;
    counts.other += IsOtherLetter(c) ? 1 : 0;
  }
  return counts;
}

// Code points that are in NFC whatever stands beside them. Others may be too; those texts are normalised.
inline bool IsPlain(char32_t c) {
  return c < 0x300 || IsHangul(c) || (c >= 0x2010 && c <= 0x205E) || (c >= 0x20A0 && c <= 0x20BF) ||
         (c >= 0x2190 && c <= 0x2328) || (c >= 0x2460 && c <= 0x27BF) || (c >= 0x3000 && c <= 0x3029) ||
         (c >= 0x3041 && c <= 0x3096) || (c >= 0x30A0 && c <= 0x30FF) || (c >= 0x3131 && c <= 0x318E) ||
         (c >= 0x3200 && c <= 0x9FFF) || (c >= 0xFE0E && c <= 0xFE0F) || (c >= 0xFF00 && c <= 0xFFEF) ||
         (c >= 0x200B && c <= 0x200F) || (c >= 0x1F000 && c <= 0x1FAFF);
}

// Whether a text is in NFC; false where that is not plain to see.
inline bool IsSurelyNfc(absl::string_view text) {
  for (size_t at = 0; at < text.size();) {
    if (!IsPlain(NextCodePoint(text, &at))) {
      return false;
    }
  }
  return true;
}

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_UTF8_H_
