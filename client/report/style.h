// The style sheet of a report. Colours follow the reader's choice of dark or light; on paper they are light.
#ifndef CHERRY_CLIENT_REPORT_STYLE_H_
#define CHERRY_CLIENT_REPORT_STYLE_H_

namespace cherry::client {

extern const char kReportStyle[];

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_REPORT_STYLE_H_
