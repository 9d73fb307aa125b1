#include "cmake/pch/base.h"
