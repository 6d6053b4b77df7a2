// What a person or a program gets to see: results on stdout, everything else on stderr.
#pragma once

#include <functional>
#include <string>

#include "model/options.hpp"
#include "model/report.hpp"
#include "report/report.hpp"

namespace calib {

/// One line on stderr.
void complain(const std::string& text);

/// Whether what is printed is all that there is of the work, so that whoever closes the pipe wants
/// no more of it (`| head`), or tells of work that is done.
enum class Printed { is_all, tells_of_work };

/// Results go out when the work is done; that they cannot is an error of its own, but for a reader
/// who has seen enough. The exit status.
int print(const std::function<void(const TextSink&)>& results, Printed printed, int status);
int print(const std::string& text, int status);

void write_diagnostics(const Report& report, const Options& options);

/// Writes what there is to say of a pass; the exit status.
int finish(Report report, const Options& options);

}  // namespace calib
