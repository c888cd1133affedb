export interface Article {
  name: string;
  price: number;
  discount?: { percent: number };
}

export function applyDiscount(article: Article): number {
  const percent = article.discount!.percent;
  return article.price * (1 - percent / 100);
}
