#include "client/report/html.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace cherry::client {
namespace {

std::string Tagged(absl::string_view tag, absl::string_view body,
                   std::initializer_list<Attribute> attributes) {
  std::string out = absl::StrCat("<", tag);
  for (const Attribute& attribute : attributes) {
    absl::StrAppend(&out, " ", attribute.name, "=\"", EscapeHtml(attribute.value), "\"");
  }
  const bool closes_itself = body.empty() && (tag == "meta" || tag == "rect" || tag == "line" ||
                                              tag == "path" || tag == "circle" || tag == "polyline");
  return closes_itself ? absl::StrCat(out, "/>") : absl::StrCat(out, ">", body, "</", tag, ">");
}

bool IsNumber(absl::string_view cell) {
  return !cell.empty() &&
         (absl::ascii_isdigit(cell[0]) ||
          (cell.size() > 1 && (cell[0] == '-' || cell[0] == '+') && absl::ascii_isdigit(cell[1])));
}

}  // namespace

std::string EscapeHtml(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        if (absl::ascii_iscntrl(c) && c != '\n' && c != '\t') {
          out += "\xef\xbf\xbd";
        } else {
          out.push_back(c);
        }
    }
  }
  return out;
}

std::string Element(absl::string_view tag, absl::string_view body,
                    std::initializer_list<Attribute> attributes) {
  return Tagged(tag, body, attributes);
}

std::string TextElement(absl::string_view tag, absl::string_view text,
                        std::initializer_list<Attribute> attributes) {
  return Tagged(tag, EscapeHtml(text), attributes);
}

std::string HtmlTable::Render() const {
  if (rows_.empty()) {
    return "";
  }
  std::vector<bool> shown(headers_.size(), true);
  std::vector<bool> numbers(headers_.size(), false);
  for (size_t i = 1; i < headers_.size(); ++i) {
    const auto any = [this, i](auto fits) {
      return std::any_of(rows_.begin(), rows_.end(), [i, &fits](const auto& row) { return fits(row[i]); });
    };
    shown[i] = any([](const std::string& cell) { return !cell.empty(); });
    numbers[i] = shown[i] && !any([](const std::string& cell) { return !cell.empty() && !IsNumber(cell); });
  }
  std::string head, body;
  for (size_t i = 0; i < headers_.size(); ++i) {
    if (shown[i]) {
      absl::StrAppend(&head,
                      TextElement("th", headers_[i], {{"scope", "col"}, {"class", numbers[i] ? "n" : "t"}}));
    }
  }
  for (const std::vector<std::string>& row : rows_) {
    std::string cells = TextElement("th", row[0], {{"scope", "row"}});
    for (size_t i = 1; i < row.size(); ++i) {
      if (shown[i]) {
        absl::StrAppend(&cells, TextElement("td", row[i], {{"class", numbers[i] ? "n" : "t"}}));
      }
    }
    absl::StrAppend(&body, Element("tr", cells), "\n");
  }
  const std::string table =
      absl::StrCat(Element("caption", TextElement("span", caption_)), Element("thead", Element("tr", head)),
                   "\n", Element("tbody", absl::StrCat("\n", body)));
  // What scrolls has to be within reach of the keyboard.
  return absl::StrCat(
      Element("div", Element("table", table),
              {{"class", "scroll"}, {"tabindex", "0"}, {"role", "region"}, {"aria-label", caption_}}),
      "\n");
}

}  // namespace cherry::client
