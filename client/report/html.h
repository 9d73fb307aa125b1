// HTML that is well-formed XML too, so that any parser reads it.
//
// Pure functions, thread-safe; HtmlTable is not.
#ifndef CHERRY_CLIENT_REPORT_HTML_H_
#define CHERRY_CLIENT_REPORT_HTML_H_

#include <initializer_list>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace cherry::client {

// For text and for values of attributes. Control characters, which XML has no form for, become U+FFFD.
std::string EscapeHtml(absl::string_view text);

struct Attribute {
  const char* name;
  std::string value;  // Escaped by Element.
};

// `body` is HTML; that of a void element (`meta`) or a shape is empty, and closes it in itself.
std::string Element(absl::string_view tag, absl::string_view body,
                    std::initializer_list<Attribute> attributes = {});

// The same around text, which is escaped.
std::string TextElement(absl::string_view tag, absl::string_view text,
                        std::initializer_list<Attribute> attributes = {});

// Rows of text under headers. Columns in which no row has anything are left out; columns of numbers stand to
// the right. On a narrow screen it scrolls in a box of its own, its first column staying.
class HtmlTable {
 public:
  // The first column names the rows.
  HtmlTable(std::string caption, std::vector<std::string> headers)
      : caption_(std::move(caption)), headers_(std::move(headers)) {}
  // As many cells as there are headers.
  void Row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  // Empty when there are no rows.
  std::string Render() const;

 private:
  const std::string caption_;
  const std::vector<std::string> headers_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_REPORT_HTML_H_
