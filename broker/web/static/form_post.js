"use strict";
document.getElementById("primary").submit();
