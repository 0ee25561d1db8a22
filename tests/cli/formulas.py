"""Texts of workers that a spreadsheet would run, and what a CSV file holds instead: the command's and the page's alike."""

DEFUSED = {
    "=1+2": "'=1+2",
    "-1": "'-1",
    "＝1": "'＝1",
    "ok;=cmd|' /C calc'!A0": "ok;'=cmd|' /C calc'!A0",  # where the list separator is a semicolon this is two cells
    "ok\t@SUM(A1)": "ok\t'@SUM(A1)",
    "ok\n+1+cmd": "ok\n'+1+cmd",  # there a quote in the middle of a cell keeps no line together
    'a; "=x;"" -y': "a;' \"=x;'\"\" -y",
    ";;\t=x": ";;\t'=x",
    "a;＠x": "a;'＠x",
    "-2;=x": "'-2;'=x",
    "a;-5": "a;'-5",  # the next cell would go on with it: -5,3+cmd
    "a;-5\t3+x;": "a;'-5\t3+x;",
    "a;-5;+3": "a;-5;'+3",
    "1;-2.5;+3e-7 ;-1,5\nx": "1;-2.5;+3e-7 ;-1,5\nx",  # numbers
    "a;'=x": "a;'=x",
    "a=b; c-d; e@f; 3": "a=b; c-d; e@f; 3",
    "plain, with a comma": "plain, with a comma",
}
