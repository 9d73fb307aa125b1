// The files of this folder, which the build puts into the program.
#ifndef CHERRY_COORDINATOR_PAGE_ASSETS_H_
#define CHERRY_COORDINATOR_PAGE_ASSETS_H_

#include "absl/strings/string_view.h"

namespace cherry::coordinator::page {

extern const absl::string_view kIndexHtml;
extern const absl::string_view kPageCss;
extern const absl::string_view kPageJs;
extern const absl::string_view kViewsJs;
extern const absl::string_view kJobJs;
extern const absl::string_view kPartsJs;
extern const absl::string_view kChartJs;
extern const absl::string_view kIconSvg;

}  // namespace cherry::coordinator::page

#endif  // CHERRY_COORDINATOR_PAGE_ASSETS_H_
